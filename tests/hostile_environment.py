"""Variables that people have in their environment for other programs, and that a server which sees them obeys."""

from collections.abc import Mapping

HOSTILE: Mapping[str, str] = {
    "HADOOP_CONF_DIR": "/nowhere/hadoop-conf",
    "HADOOP_USER_NAME": "nobody-hdfs",
    "PGSSLMODE": "require-it",
    "PGSERVICE": "nobody-serves",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-c nonsense=1",
    "JAVA_TOOL_OPTIONS": "-XX:+UseG1GC",
    "_JAVA_OPTIONS": "-Xmx4g -XX:+UseG1GC",
    "JDK_JAVA_OPTIONS": "-XX:+NoSuchOption",
    "CLASSPATH": "/nowhere/classes",
    "SPARK_HOME": "/nowhere/spark",
    "SPARK_CONF_DIR": "/nowhere/spark-conf",
    "SPARK_LOCAL_DIRS": "/nowhere/spark-local",
    "PYSPARK_PYTHON": "/nowhere/python",
    "PYSPARK_SUBMIT_ARGS": "--no-such-option",
    "KAFKA_OPTS": "-Dno=such",
    "CASSANDRA_CONF": "/nowhere/cassandra-conf",
    "AIRFLOW__CORE__AUTH_MANAGER": "no.such.Manager",
    "AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor",
    "AIRFLOW_CONFIG": "/nowhere/airflow.cfg",
    "GUNICORN_CMD_ARGS": "--no-such-argument",
    "PYTHONWARNINGS": "error",
    "PYTHONOPTIMIZE": "2",
    "BASH_ENV": "/nowhere/bash_env",
}
