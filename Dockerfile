# Airflow's image with this checkout's provider, for docker-compose.yaml and docker-compose.simple.yaml.
FROM apache/airflow:3.3.2
COPY --chown=airflow:0 pyproject.toml README.md LICENSE NOTICE /opt/osmosdest/
COPY --chown=airflow:0 airflow_provider_osmosdest /opt/osmosdest/airflow_provider_osmosdest
# Naming Airflow's own version keeps pip from changing it.
RUN pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" "/opt/osmosdest[all,demo]"
# A new volume takes over the owner of the folder it is mounted on.
RUN mkdir -p /opt/airflow/state/osmosdest
