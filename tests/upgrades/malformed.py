"""Sends messages that are no records; run by the Python of an old release, so it imports nothing of ours."""

import sys

from confluent_kafka import Producer

address, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
producer = Producer({"bootstrap.servers": address, "acks": "all", "enable.idempotence": True})
for number in range(count):
    producer.produce(topic, key=b"malformed %d" % number, value=b"\xff no record %d" % number)
sys.exit(producer.flush(120))
