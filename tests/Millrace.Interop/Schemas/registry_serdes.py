"""Serializes with confluent_kafka's unmodified serializers, sends through the log, deserializes, and prints OK.

usage: registry_serdes.py json|protobuf REGISTRY BROKERS
"""
import json, sys
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

kind, registry, brokers = sys.argv[1:4]
client = SchemaRegistryClient({"url": registry})


def through(topic, value):
    producer = Producer({"bootstrap.servers": brokers})
    placed = []
    producer.produce(topic, value=value, on_delivery=lambda error, message: placed.append(message.offset()))
    producer.flush(30)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "%s-%d" % (topic, placed[0]), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(30)
        assert message is not None, "nothing came back"
        if message.error() is None and message.offset() == placed[0]:
            consumer.close()
            return message.value()


def context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def with_json():
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer

    def schema(*names):
        return json.dumps({"title": "Order", "type": "object", "properties": {n: {"type": "number"} for n in names}, "additionalProperties": False})

    write = JSONSerializer(schema("a"), client)
    first = through("json", write({"a": 1}, context("json")))
    assert JSONDeserializer(schema("a"))(first, context("json")) == {"a": 1}
    second = through("json", JSONSerializer(schema("a", "b"), client)({"a": 1, "b": 2}, context("json")))
    assert JSONDeserializer(schema("a", "b"))(second, context("json")) == {"a": 1, "b": 2} and first[:5] != second[:5]
    assert client.get_versions("json-value") == [1, 2]
    # Nothing is registered when it must be there, or does not fit.
    looked_up = JSONSerializer(schema("b", "a"), client, conf={"auto.register.schemas": False})
    try:
        looked_up({"a": 1}, context("other"))
        raise AssertionError("other-value was found")
    except SchemaRegistryError as error:
        assert error.error_code == 40401, error
    assert JSONSerializer(schema("a"), client, conf={"auto.register.schemas": False})({"a": 1}, context("json")) == first
    try:
        JSONSerializer(schema(), client)({}, context("json"))
        raise AssertionError("a narrower schema was registered")
    except SchemaRegistryError as error:
        assert error.http_status_code == 409, error
    try:
        write({"a": "x"}, context("json"))
        raise AssertionError("text was taken for a number")
    except SerializationError:
        pass


def with_protobuf():
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
    from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer

    pool = descriptor_pool.Default()

    def add(name, imports, message):
        file = descriptor_pb2.FileDescriptorProto(name=name, package="py.shop", syntax="proto3", dependency=imports)
        file.message_type.append(message)
        pool.Add(file)
        return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("py.shop." + message.name))

    def field(name, number, kind, type_name=None):
        made = descriptor_pb2.FieldDescriptorProto(name=name, number=number, type=kind, label=1)
        if type_name:
            made.type_name = type_name
        return made

    kinds = descriptor_pb2.FieldDescriptorProto
    cash = add("py/cash.proto", [], descriptor_pb2.DescriptorProto(name="Cash", field=[field("cents", 1, kinds.TYPE_INT32)]))
    order = add("py/order.proto", ["py/cash.proto", "google/protobuf/timestamp.proto"], descriptor_pb2.DescriptorProto(name="Order", field=[
        field("cash", 1, kinds.TYPE_MESSAGE, ".py.shop.Cash"), field("at", 2, kinds.TYPE_MESSAGE, ".google.protobuf.Timestamp"), field("text", 3, kinds.TYPE_STRING)]))
    value = order(cash=cash(cents=5), at=timestamp_pb2.Timestamp(seconds=9), text="paid")
    framed = through("proto", ProtobufSerializer(order, client)(value, context("proto")))
    assert ProtobufDeserializer(order)(framed, context("proto")) == value
    assert set(client.get_subjects()) == {"proto-value", "py/cash.proto", "google/protobuf/timestamp.proto"}, client.get_subjects()
    registered = client.get_latest_version("proto-value")
    assert registered.schema.schema_str.startswith('syntax = "proto3";\npackage py.shop;\nimport "py/cash.proto";'), registered.schema.schema_str
    # Looked up by its descriptor, it is the schema that is there.
    assert ProtobufSerializer(order, SchemaRegistryClient({"url": registry}), {"auto.register.schemas": False})(value, context("proto")) == framed
    # A second version, registered as text.
    text = registered.schema.schema_str.replace("string text = 3;", "string text = 3;\n  int32 more = 4;")
    references = [SchemaReference(r["name"], r["subject"], r["version"]) for r in registered.schema.references]
    client.register_schema("proto-value", Schema(text, "PROTOBUF", references))
    assert client.get_versions("proto-value") == [1, 2]
    client.delete_subject("proto-value")
    assert client.get_schema(int.from_bytes(framed[1:5], "big")).schema_type == "PROTOBUF"


{"json": with_json, "protobuf": with_protobuf}[kind]()
print("OK")
