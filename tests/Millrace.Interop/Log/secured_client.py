"""Produces and consumes with kafka-python over TLS and SASL.

usage: secured_client.py BROKERS CA MECHANISM USER PASSWORD TOPIC COUNT
"""
import ssl, sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

brokers, ca, mechanism, user, password, topic, count = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
settings = dict(bootstrap_servers=brokers, security_protocol="SASL_SSL", ssl_context=context, sasl_mechanism=mechanism,
                sasl_plain_username=user, sasl_plain_password=password)
producer = KafkaProducer(acks="all", **settings)
for i in range(int(count)):
    producer.send(topic, b"python %d" % i, partition=0).get(timeout=20)
consumer = KafkaConsumer(consumer_timeout_ms=10000, auto_offset_reset="earliest", **settings)
consumer.assign([TopicPartition(topic, 0)])
seen = 0
for record in consumer:
    if record.value.startswith(b"python "):
        seen += 1
    if seen == int(count):
        break
print(seen)
