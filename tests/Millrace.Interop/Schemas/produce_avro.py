"""Produces with confluent_kafka's AvroProducer, whose serializer registers its schema and frames each record.

usage: produce_avro.py BROKERS REGISTRY TOPIC VERSION FROM TO
"""
import datetime, json, sys
from confluent_kafka import avro
from confluent_kafka.avro import AvroProducer

brokers, registry, topic, version, start, end = sys.argv[1:]
fields = [{"name": "order_id", "type": "int" if version == "1" else "long"}, {"name": "amount", "type": "double"}]
if version == "2":
    fields += [{"name": "country", "type": ["null", "string"], "default": None},
               {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0}]
schema = avro.loads(json.dumps({"type": "record", "name": "Order", "namespace": "shop", "fields": fields}))
producer = AvroProducer({"bootstrap.servers": brokers, "schema.registry.url": registry}, default_value_schema=schema)
for i in range(int(start), int(end)):
    value = {"order_id": i, "amount": i / 2}
    if version == "2":
        value["country"] = None if i % 3 == 0 else "c%d" % (i % 3)
        value["at"] = datetime.datetime(2023, 11, 14, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=i)
    producer.produce(topic=topic, value=value)
producer.flush()
