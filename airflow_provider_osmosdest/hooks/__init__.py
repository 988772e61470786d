"""
Hooks: what of Airflow the core needs, made into frozen values, which is done nowhere else.

In come Connections and the parameters of tasks; out go targets, mailboxes, deliveries and pulls.
"""
