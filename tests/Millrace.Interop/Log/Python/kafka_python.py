"""Drives the log through kafka-python and writes one line of JSON for each thing that it found. usage: kafka_python.py HOST:PORT"""
import json
import sys

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic

servers = sys.argv[1]


def tell(name, value):
    print(json.dumps({"name": name, "value": value}), flush=True)


admin = KafkaAdminClient(bootstrap_servers=servers)
admin.create_topics([NewTopic("py", 2, 1)])
admin.create_partitions({"py": NewPartitions(3)})
tell("topics", sorted(t for t in admin.list_topics() if not t.startswith("__")))
config = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "py", {"cleanup.policy": None})])
tell("config", config[0].resources[0][4][0][:2] if isinstance(config, list) else config.resources[0][4][0][:2])
for compression in (None, "gzip"):
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", compression_type=compression, linger_ms=5)
    sent = [producer.send("py", value=b"%s:%d" % (str(compression).encode(), i), key=b"k%d" % (i % 7), headers=[("h", b"x")]) for i in range(50)]
    producer.flush(30)
    tell("sent %s" % compression, all(f.succeeded() for f in sent))
    producer.close()
consumer = KafkaConsumer("py", bootstrap_servers=servers, group_id="py-group", auto_offset_reset="earliest", consumer_timeout_ms=20000, enable_auto_commit=False)
values = set()
for message in consumer:
    values.add(message.value)
    if len(values) == 100:
        break
consumer.commit()
tell("read", len(values))
tell("ends", sum(consumer.end_offsets([TopicPartition("py", p) for p in range(3)]).values()))
consumer.close()
offsets = admin.list_consumer_group_offsets("py-group")
tell("committed", sum(o.offset for o in offsets.values()))
tell("groups", [g[0] for g in admin.list_consumer_groups()])
admin.delete_consumer_groups(["py-group"])
admin.delete_topics(["py"])
tell("left", sorted(t for t in admin.list_topics() if not t.startswith("__")))
admin.close()
