"""
What Airflow's provider manager reads: one literal, so that listing providers imports nothing of this package.

Airflow calls the function in every process that looks at providers, the API server's connection form among
them. The shapes are those of ``airflow/provider_info.schema.json`` and, for connection types,
``airflow/provider.yaml.schema.json``; ``tests/unit/test_provider_info.py`` validates against both.

The form saves ``conn-fields`` into the Connection's extra under their own names: numbers as numbers, ``object``
fields as objects, and every field that was left empty as ``null``. ``default`` only fills the form in; a
Connection made in another way lacks the key. ``section`` is the title that the form gathers a field under, in the order
in which a person fills them in.
"""

from __future__ import annotations

__all__ = ["get_provider_info"]


def get_provider_info() -> dict[str, object]:
    """Return what this package adds to Airflow."""
    return {
        "package-name": "airflow-provider-osmosdest",
        "name": "Osmos",
        "description": "Moves records between Airflow pipelines and anybody's HTTP API, validated, nothing lost.",
        "integrations": [
            {
                "integration-name": "Osmos",
                "external-doc-url": "https://pypi.org/project/airflow-provider-osmosdest/",
                "tags": ["protocol"],
            },
        ],
        "hooks": [
            {
                "integration-name": "Osmos",
                "python-modules": [
                    "airflow_provider_osmosdest.hooks.http_destination",
                    "airflow_provider_osmosdest.hooks.mailbox",
                ],
            },
        ],
        "operators": [
            {
                "integration-name": "Osmos",
                "python-modules": [
                    "airflow_provider_osmosdest.operators.http_destination",
                    "airflow_provider_osmosdest.operators.http_source",
                    "airflow_provider_osmosdest.operators.mailbox",
                    "airflow_provider_osmosdest.operators.parts",
                ],
            },
        ],
        "sensors": [
            {
                "integration-name": "Osmos",
                "python-modules": ["airflow_provider_osmosdest.sensors.mailbox"],
            },
        ],
        "triggers": [
            {
                "integration-name": "Osmos",
                "python-modules": ["airflow_provider_osmosdest.triggers.mailbox"],
            },
        ],
        "task-decorators": [
            {
                "name": "http_destination",
                "class-name": "airflow_provider_osmosdest.decorators.http_destination.http_destination_task",
            },
        ],
        "cli": ["airflow_provider_osmosdest.cli.definition.get_cli_commands"],
        "config": {
            "osmosdest": {
                "description": "Where deliveries keep their reports, failures files and ledgers.",
                "options": {
                    "storage_path": {
                        "description": (
                            "Folder that holds a folder per delivery: a local path or any URL that Airflow's object\n"
                            "storage understands. Where tasks run on several machines, they and the API server must\n"
                            "share it. Empty means the folder osmosdest in AIRFLOW_HOME.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "s3://my-bucket/osmosdest",
                        "default": "",
                    },
                    "storage_conn_id": {
                        "description": (
                            "Id of the Airflow Connection that opens storage_path. Empty means none is needed: the\n"
                            "path is local, or the machine's own credentials open it.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "aws_default",
                        "default": "",
                    },
                    "group_access": {
                        "description": (
                            "What their group may do with files and folders that are made on a disk: none (modes 0600\n"
                            "and 0700), read (0640 and 0750) or write (0660 and 0770). Everybody else may do nothing.\n"
                            "Object stores have no modes.\n"
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "read",
                        "default": "none",
                    },
                    "shared_storage": {
                        "description": (
                            "Whether local paths are on a disk that all machines of this Airflow have mounted there.\n"
                            "Where tasks run on other machines (Celery, Kubernetes) and this is not so, what needs\n"
                            "shared storage is refused: mailboxes, deduplication across runs, and pulls.\n"
                        ),
                        "version_added": "0.2.0",
                        "type": "boolean",
                        "example": "True",
                        "default": "False",
                    },
                    "redis_url": {
                        "description": (
                            "URL of a Redis through which all tasks on a connection, and all servers of a mailbox,\n"
                            "share its requests and records a second. Empty means that mapped tasks divide them.\n"
                            "Needs the extra redis of this package.\n"
                        ),
                        "version_added": "0.2.0",
                        "type": "string",
                        "sensitive": True,
                        "example": "rediss://:password@redis.example.com:6379/3",
                        "default": "",
                    },
                    "redis_conn_id": {
                        "description": (
                            "Id of the Airflow Connection with that Redis, instead of redis_url: its host, port,\n"
                            "login, password and, in its extra, db and ssl.\n"
                        ),
                        "version_added": "0.2.0",
                        "type": "string",
                        "example": "redis_default",
                        "default": "",
                    },
                },
            },
        },
        "connection-types": [
            {
                "connection-type": "osmos_http",
                "hook-class-name": "airflow_provider_osmosdest.hooks.http_destination.HttpDestinationHook",
                "hook-name": "Osmos HTTP API",
                "ui-field-behaviour": {
                    # The base URL says scheme and port itself.
                    "hidden-fields": ["schema", "port"],
                    "relabeling": {"host": "Base URL", "password": "Password or token"},
                    "placeholders": {
                        "host": "https://api.example.com/v1",
                        "login": "user of basic, or client id of oauth2; else empty",
                        "password": "a bearer token; with a login, its password",
                    },
                },
                "conn-fields": {
                    "auth": {
                        "label": "Authentication",
                        "description": (
                            "How requests show who sends them. Empty: a password alone is a bearer token, login and "
                            "password are basic, and with neither nothing is sent. An API key goes into Headers. "
                            "Extra also takes verify, cert and proxies, as Airflow's HTTP connection does."
                        ),
                        "schema": {
                            "section": "Signing in",
                            "type": ["string", "null"],
                            "enum": ["none", "basic", "bearer", "oauth2", "signature"],
                            "values_display": {
                                "none": "none: send no credentials",
                                "basic": "basic: the login and password above",
                                "bearer": "bearer: the password above is the token",
                                "oauth2": "oauth2: fetch tokens with the login and password above (client credentials)",
                                "signature": "signature: sign each request with the secret above (Standard Webhooks)",
                            },
                        },
                    },
                    "headers": {
                        "label": "Headers",
                        "description": (
                            'Headers of each request, as a JSON object: {"X-Api-Key": "..."}. Only these become '
                            "headers, never other keys of the extra. Content-Type is set for you. The form hides the "
                            "values of headers whose name says that they are secret (authorization, token, secret, "
                            "api-key); no value is ever logged."
                        ),
                        "schema": {"section": "Signing in", "type": ["object", "null"]},
                    },
                    # Airflow's form masks every field whose name holds "token", so this one must not.
                    "oauth2_url": {
                        "label": "OAuth2 URL",
                        "description": (
                            "With oauth2: the URL that gives out tokens. Login is the client id and password the "
                            "client secret. Tokens are kept and renewed before they end."
                        ),
                        "schema": {
                            "section": "Signing in",
                            "type": ["string", "null"],
                            "examples": ["https://login.example.com/oauth2/v2.0/token"],
                        },
                    },
                    "oauth2_scope": {
                        "label": "OAuth2 scope",
                        "description": "With oauth2: what to ask for, separated by spaces. Empty asks for the default.",
                        "schema": {"section": "Signing in", "type": ["string", "null"], "examples": ["orders.write"]},
                    },
                    "oauth2_audience": {
                        "label": "OAuth2 audience",
                        "description": "With oauth2: for whom the token is, if the server asks for it.",
                        "schema": {
                            "section": "Signing in",
                            "type": ["string", "null"],
                            "examples": ["https://api.example.com"],
                        },
                    },
                    "method": {
                        "label": "Method",
                        "description": (
                            "Both modes: HTTP method of each request. Most APIs that take new records want POST."
                        ),
                        "schema": {
                            "section": "What is sent",
                            "type": ["string", "null"],
                            "enum": ["POST", "PUT", "PATCH"],
                            "default": "POST",
                        },
                    },
                    "destination_schema": {
                        "label": "Destination schema",
                        "description": (
                            "Both modes: what a record must look like, as JSON: an ordered list of fields with name, "
                            'type and nullable, such as {"fields": [{"name": "id", "type": "integer", "nullable": '
                            "false}]}. Records that fail it are never sent. Make one from a sample file with: "
                            "airflow osmosdest schema infer FILE"
                        ),
                        "schema": {"section": "What is sent", "type": ["object", "null"]},
                    },
                    "write_mode": {
                        "label": "Write mode",
                        "description": (
                            "Whether the API takes many records in one request (batch mode) or one record per "
                            "request (record mode). A task may say otherwise, as with every field from Method down."
                        ),
                        "schema": {
                            "section": "What is sent",
                            "type": ["string", "null"],
                            "enum": ["batch", "record"],
                            "values_display": {
                                "batch": "batch: many records in one request",
                                "record": "record: one record per request",
                            },
                            "default": "batch",
                        },
                    },
                    "envelope": {
                        "label": "Envelope",
                        "description": (
                            'Both modes: what the API wants around the records: a name (data sends {"data": [...]}, '
                            'in record mode {"data": {...}}), or a JSON object one of whose values is "$records". '
                            "Empty sends them bare."
                        ),
                        "schema": {
                            "section": "What is sent",
                            "type": ["string", "null"],
                            "examples": ["data", "records", '{"source": "airflow", "items": "$records"}'],
                        },
                    },
                    "deduplicate": {
                        "label": "Deduplicate",
                        "description": (
                            "Both modes: what not to send again. A record counts as seen once it was delivered."
                        ),
                        "schema": {
                            "section": "What is sent",
                            "type": ["string", "null"],
                            "enum": ["none", "in_file", "records", "files"],
                            "values_display": {
                                "none": "none: send every record",
                                "in_file": "in_file: of equal records in one source, the first",
                                "records": "records: records that no earlier run delivered",
                                "files": "files: files whose content no earlier run has taken",
                            },
                            "default": "none",
                        },
                    },
                    "record_key": {
                        "label": "Record key",
                        "description": (
                            "Both modes, with deduplicate: field, or fields with commas between, that a record is "
                            "known by. A record that was edited is then no new one. Empty: its whole content, so "
                            "that new and edited ones are sent."
                        ),
                        "schema": {
                            "section": "What is sent",
                            "type": ["string", "null"],
                            "examples": ["order_id", "customer_id, day"],
                        },
                    },
                    "batch_size": {
                        "label": "Batch size",
                        "description": "Batch mode: records in one request at most, 1 to 250,000.",
                        "schema": {
                            "section": "Batch mode",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "maximum": 250_000,
                            "default": 250_000,
                        },
                    },
                    "max_batch_bytes": {
                        "label": "Max batch bytes",
                        "description": (
                            "Batch mode: bytes of one request's body at most, before compression. Set it when the "
                            "API documents a size limit; empty means no limit."
                        ),
                        "schema": {"section": "Batch mode", "type": ["integer", "null"], "minimum": 2},
                    },
                    "batch_format": {
                        "label": "Batch format",
                        "description": "Batch mode: how the records of one request are written.",
                        "schema": {
                            "section": "Batch mode",
                            "type": ["string", "null"],
                            "enum": ["json", "ndjson"],
                            "values_display": {
                                "json": "json: one JSON array",
                                "ndjson": "ndjson: one JSON object per line",
                            },
                            "default": "json",
                        },
                    },
                    "on_batch_failure": {
                        "label": "On batch failure",
                        "description": "Batch mode: what to do when the API refuses a batch because of its data.",
                        "schema": {
                            "section": "Batch mode",
                            "type": ["string", "null"],
                            "enum": ["split", "fail"],
                            "values_display": {
                                "split": "split: send parts of it until only the bad records are left",
                                "fail": "fail: count all its records as rejected",
                            },
                            "default": "split",
                        },
                    },
                    "on_no_answer": {
                        "label": "On no answer",
                        "description": (
                            "Batch mode: what to do with records sent together where no answer came through all "
                            "retries."
                        ),
                        "schema": {
                            "section": "Batch mode",
                            "type": ["string", "null"],
                            "enum": ["stop", "split"],
                            "values_display": {
                                "stop": "stop: another attempt sends the same request again, under the same key",
                                "split": "split: send parts of it, of which the API may take some twice",
                            },
                            "default": "stop",
                        },
                    },
                    "concurrency": {
                        "label": "Concurrency",
                        "description": (
                            "Record mode: requests in flight at the same time. A task may also say auto: as many, "
                            "and as fast, as the API takes."
                        ),
                        "schema": {
                            "section": "Record mode",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "maximum": 512,
                            "default": 16,
                        },
                    },
                    "requests_per_second": {
                        "label": "Requests per second",
                        "description": (
                            "Both modes: requests a second at most, if the API documents a limit. Empty means no limit."
                        ),
                        "schema": {"section": "Limits", "type": ["number", "null"], "minimum": 0.001},
                    },
                    "records_per_second": {
                        "label": "Records per second",
                        "description": (
                            "Both modes: records a second at most, if the API documents a limit. Empty means no limit."
                        ),
                        "schema": {"section": "Limits", "type": ["number", "null"], "minimum": 0.001},
                    },
                    "timeout": {
                        "label": "Timeout",
                        "description": (
                            "Both modes: seconds to wait for an answer once the request is sent. To be made, a "
                            "connection has 30 seconds of its own."
                        ),
                        "schema": {"section": "Limits", "type": ["number", "null"], "minimum": 0.1, "default": 60},
                    },
                    "item_errors": {
                        "label": "Item errors",
                        "description": (
                            "Both modes: for an API that answers success and lists the records it refused: the "
                            "JMESPath of that list in its JSON answer. Its entries are positions in the request, or "
                            "objects with index and error."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "examples": ["errors", "errors[].{index: position, error: message}"],
                        },
                    },
                    "success_when": {
                        "label": "Success when",
                        "description": (
                            "Both modes: for an API that answers 200 even when it refuses: a JMESPath over its JSON "
                            "answer that is true only for a real success."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "examples": ["ok", "status == 'accepted'"],
                        },
                    },
                    "already_exists_when": {
                        "label": "Already exists when",
                        "description": (
                            "Both modes: a JMESPath over {status, body} of an answer that is true where the API has "
                            "the record already: it counts as duplicate then, and is no failure."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "examples": ["status == `409`", "body.code == 'duplicate'"],
                        },
                    },
                    "guarantee": {
                        "label": "Guarantee",
                        "description": (
                            "Both modes: what to do with records that may or may not have arrived, as after a "
                            "time-out: send them again, or never and report them as unknown."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "enum": ["at_least_once", "at_most_once"],
                            "values_display": {
                                "at_least_once": "at_least_once: send them again",
                                "at_most_once": "at_most_once: never send them again",
                            },
                            "default": "at_least_once",
                        },
                    },
                    "idempotency_header": {
                        "label": "Idempotency header",
                        "description": (
                            "Both modes: header that carries a key which stays the same when the same records are "
                            "sent again, so that the API can tell. none sends no such header."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "default": "Idempotency-Key",
                            "examples": ["none"],
                        },
                    },
                    "compression": {
                        "label": "Compression",
                        "description": (
                            "Both modes: compress request bodies, and say so in Content-Encoding. Only if the API "
                            "documents it."
                        ),
                        "schema": {
                            "section": "Rarely needed",
                            "type": ["string", "null"],
                            "enum": ["none", "gzip", "zstd"],
                            "default": "none",
                        },
                    },
                },
            },
            {
                "connection-type": "osmos_mailbox",
                "hook-class-name": "airflow_provider_osmosdest.hooks.mailbox.MailboxHook",
                "hook-name": "Osmos Mailbox",
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "login", "schema", "port"],
                    "relabeling": {"password": "Signing secrets"},
                    "placeholders": {"password": "whsec_…, only if partners sign what they send"},
                },
                "conn-fields": {
                    "path": {
                        "label": "Path",
                        "description": (
                            "Folder that holds the mailbox and nothing else: a local path or any URL that Airflow's "
                            "object storage understands. Empty means mailboxes/ and this connection's id in "
                            "[osmosdest] storage_path. The store must be able to create an object only if it is not "
                            "there, as disks, S3, GCS and Azure can."
                        ),
                        "schema": {
                            "section": "Where it lies",
                            "type": ["string", "null"],
                            "examples": ["s3://my-bucket/mailboxes/orders"],
                        },
                    },
                    "storage_conn_id": {
                        "label": "Storage connection",
                        "description": (
                            "Id of the Airflow Connection that opens the path. Empty means none is needed: the path "
                            "is local, or the machine's own credentials open it."
                        ),
                        "schema": {"section": "Where it lies", "type": ["string", "null"], "examples": ["aws_default"]},
                    },
                    "destination_schema": {
                        "label": "Record schema",
                        "description": (
                            "What a record must look like, as JSON: an ordered list of fields with name, type and "
                            'nullable, such as {"fields": [{"name": "id", "type": "integer", "nullable": false}]}. '
                            "Nothing else gets into the mailbox, from tasks or from partners. Empty takes any JSON "
                            "object. Make one from a sample file with: airflow osmosdest schema infer FILE"
                        ),
                        "schema": {"section": "Where it lies", "type": ["object", "null"]},
                    },
                    # Airflow's form masks every field whose name holds "token", so this one must not.
                    "access": {
                        "label": "Access",
                        "description": (
                            "Who may read and who may send over HTTP. Leave it to the command line: airflow osmosdest "
                            "mailbox token add makes a token, shows it once, and keeps only its SHA-256 here, with a "
                            "name, the direction (read or write) and perhaps an expiry. token revoke takes it away. "
                            "What stands here cannot be turned back into a token."
                        ),
                        "schema": {
                            "section": "Who may read and send",
                            "type": ["array", "null"],
                            "items": {"type": "object"},
                        },
                    },
                    "max_age": {
                        "label": "Keep for days",
                        "description": (
                            "Batches older than this are deleted by airflow osmosdest mailbox purge, read or not. "
                            "Empty keeps them whatever their age. The newest batch is always kept."
                        ),
                        "schema": {
                            "section": "What is kept",
                            "type": ["number", "null"],
                            "exclusiveMinimum": 0,
                            "examples": [30],
                        },
                    },
                    "max_bytes": {
                        "label": "Keep bytes",
                        "description": (
                            "While the data takes more bytes than this, as stored, purge deletes the oldest batches. "
                            "Empty keeps them whatever their size."
                        ),
                        "schema": {
                            "section": "What is kept",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "examples": [10737418240],
                        },
                    },
                    "page_limit": {
                        "label": "Page limit",
                        "description": "The most records a partner may ask for in one page.",
                        "schema": {
                            "section": "What partners may ask for",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "default": 5000,
                        },
                    },
                    "page_bytes": {
                        "label": "Page bytes",
                        "description": (
                            "The most bytes of records in one page, as NDJSON. A record that has more comes alone."
                        ),
                        "schema": {
                            "section": "What partners may ask for",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "default": 8388608,
                        },
                    },
                    "requests_per_second": {
                        "label": "Requests per second",
                        "description": (
                            "Requests a second that each token may make; more are told to come later. Empty means no "
                            "limit."
                        ),
                        "schema": {
                            "section": "What partners may ask for",
                            "type": ["number", "null"],
                            "minimum": 0.001,
                        },
                    },
                    "on_invalid": {
                        "label": "On invalid records",
                        "description": "What to do when a partner sends records of which some fail the schema.",
                        "schema": {
                            "section": "What partners may send",
                            "type": ["string", "null"],
                            "enum": ["reject", "quarantine"],
                            "values_display": {
                                "reject": "reject: take none of them, and tell the partner which are wrong and why",
                                "quarantine": "quarantine: take the valid ones, and set the others aside",
                            },
                            "default": "reject",
                        },
                    },
                    "max_body_bytes": {
                        "label": "Body bytes",
                        "description": (
                            "The most bytes a partner may send in one request, as sent and also unpacked. More is "
                            "refused, never cut off."
                        ),
                        "schema": {
                            "section": "What partners may send",
                            "type": ["integer", "null"],
                            "minimum": 1,
                            "default": 10485760,
                        },
                    },
                },
            },
        ],
    }
