"""Drives the log through confluent-kafka and writes one line of JSON for each thing that it found. usage: confluent_kafka_client.py HOST:PORT"""
import json
import sys

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

servers = {"bootstrap.servers": sys.argv[1]}


def tell(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


admin = AdminClient(servers)
for topic in ("cf", "cf-out"):
    admin.create_topics([NewTopic(topic, 3, 1)])[topic].result(30)
tell("topics", sorted(t for t in admin.list_topics(timeout=30).topics if not t.startswith("__")))
for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
    producer = Producer({**servers, "enable.idempotence": True, "compression.codec": codec, "linger.ms": 5})
    for i in range(20):
        producer.produce("cf", key="k%d" % i, value="%s:%d" % (codec, i), headers={"h": "x"})
    tell("unsent %s" % codec, producer.flush(30))


def read(group, topic, count, **more):
    consumer = Consumer({**servers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **more})
    consumer.subscribe([topic])
    values = []
    while len(values) < count:
        message = consumer.poll(30)
        if message is None:
            break
        if message.error():
            raise SystemExit(str(message.error()))
        values.append(message.value().decode())
    consumer.commit(asynchronous=False)
    return consumer, values


consumer, values = read("cf-group", "cf", 100)
tell("read", len(set(values)))
tell("committed", sum(p.offset for p in consumer.committed([TopicPartition("cf", p) for p in range(3)], timeout=30)))
producer = Producer({**servers, "transactional.id": "cf-tx"})
producer.init_transactions(30)
for commit in (True, False, True):
    producer.begin_transaction()
    producer.produce("cf-out", value="committed" if commit else "aborted")
    producer.send_offsets_to_transaction([TopicPartition("cf", 0, 1 if commit else 2)], consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)
tell("sent offset", consumer.committed([TopicPartition("cf", 0)], timeout=30)[0].offset)
consumer.close()
reader, values = read("cf-out-group", "cf-out", 2)
tell("transactions", values)
reader.close()
admin.delete_topics(["cf"])["cf"].result(30)
tell("left", sorted(t for t in admin.list_topics(timeout=30).topics if not t.startswith("__")))
