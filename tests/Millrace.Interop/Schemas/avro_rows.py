"""Reads and writes Avro container files with Apache Avro's Python library, as a second opinion.

usage: avro_rows.py read FILE...        one line a file: [[cell, ...], ...] as JSON, or "refused: ..."
       avro_rows.py write SEED COUNT FOLDER FILES   random schemas, random records
"""
import base64, datetime, decimal, json, math, random, sys, uuid
import avro.schema, avro.io
from avro.datafile import DataFileReader, DataFileWriter

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)


def cell(value):
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else ("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return "decimal " + format(value, "f")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        return (at - EPOCH) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - datetime.date(1970, 1, 1)).days
    if isinstance(value, datetime.time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    if isinstance(value, dict):
        return {k: cell(v) for k, v in value.items()}
    return [cell(v) for v in value]


def read(path):
    try:
        with DataFileReader(open(path, "rb"), avro.io.DatumReader()) as reader:
            names = [f["name"] for f in json.loads(reader.meta["avro.schema"])["fields"]]
            return [[cell(row[name]) for name in names] for row in reader]
    except Exception as error:
        return "refused: %s: %s" % (type(error).__name__, error)


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0

    def name(self):
        self.names += 1
        return "N%d" % self.names

    def type(self, depth):
        r = self.random
        simple = ["int", "long", "float", "double", "boolean", "string", "bytes", "enum", "fixed", "date", "ts", "tsmicros", "time", "decimal"]
        kind = r.choice(simple + (["array", "map", "record", "optional", "union"] if depth < 3 else []))
        if kind == "enum":
            return {"type": "enum", "name": self.name(), "symbols": ["S%d" % i for i in range(r.randint(1, 4))]}
        if kind == "fixed":
            return {"type": "fixed", "name": self.name(), "size": r.randint(1, 20)}
        if kind == "date":
            return {"type": "int", "logicalType": "date"}
        if kind == "ts":
            return {"type": "long", "logicalType": "timestamp-millis"}
        if kind == "tsmicros":
            return {"type": "long", "logicalType": "timestamp-micros"}
        if kind == "time":
            return {"type": "long", "logicalType": "time-micros"}
        if kind == "decimal":
            precision = r.randint(1, 30)
            return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": r.randint(0, precision)}
        if kind == "array":
            return {"type": "array", "items": self.type(depth + 1)}
        if kind == "map":
            return {"type": "map", "values": self.type(depth + 1)}
        if kind == "record":
            return self.record(depth + 1)
        if kind == "optional":
            other = self.type(depth + 1)
            return ["null", other] if not isinstance(other, list) else other
        if kind == "union":
            return ["null", "long", self.record(depth + 1)]
        return kind

    def record(self, depth):
        return {"type": "record", "name": self.name(), "fields": [{"name": "f%d" % i, "type": self.type(depth)} for i in range(self.random.randint(1, 6))]}

    def value(self, t):
        r = self.random
        if isinstance(t, list):
            return self.value(r.choice(t))
        kind = t["type"] if isinstance(t, dict) else t
        logical = t.get("logicalType") if isinstance(t, dict) else None
        if logical == "date":
            return datetime.date(1970, 1, 1) + datetime.timedelta(days=r.randint(-100000, 100000))
        if logical in ("timestamp-millis", "timestamp-micros"):
            return EPOCH + datetime.timedelta(milliseconds=r.randint(-10**12, 10**13))
        if logical == "time-micros":
            return datetime.time(r.randint(0, 23), r.randint(0, 59), r.randint(0, 59), r.randint(0, 999999))
        if logical == "decimal":
            digits = r.randint(1, t["precision"])
            return decimal.Decimal((r.randint(0, 1), tuple(r.randint(0, 9) for _ in range(digits)), -t["scale"]))
        if kind == "null":
            return None
        if kind == "int":
            return r.choice([0, -1, 63, 64, -2**31, 2**31 - 1, r.randint(-2**31, 2**31 - 1)])
        if kind == "long":
            return r.choice([0, -1, 2**63 - 1, -2**63, r.randint(-2**63, 2**63 - 1)])
        if kind in ("float", "double"):
            return r.choice([0.0, -1.5, 0.1, 1e10, float("inf")]) if kind == "double" else r.choice([0.0, -1.5, 0.25, 1024.0])
        if kind == "boolean":
            return r.random() < 0.5
        if kind == "string":
            return r.choice(["", "a", "h\u00e9llo", "\u65e5\u672c", "\U0001f600 \"quoted\"\n", "x" * r.randint(0, 300)])
        if kind == "bytes":
            return bytes(r.getrandbits(8) for _ in range(r.randint(0, 40)))
        if kind == "fixed":
            return bytes(r.getrandbits(8) for _ in range(t["size"]))
        if kind == "enum":
            return r.choice(t["symbols"])
        if kind == "array":
            return [self.value(t["items"]) for _ in range(r.randint(0, 4))]
        if kind == "map":
            return {"k%d" % i: self.value(t["values"]) for i in range(r.randint(0, 3))}
        return {f["name"]: self.value(f["type"]) for f in t["fields"]}


def write(seed, count, path):
    maker = Maker(int(seed))
    schema = maker.record(0)
    with DataFileWriter(open(path, "wb"), avro.io.DatumWriter(), avro.schema.parse(json.dumps(schema)), codec=maker.random.choice(["null", "deflate"])) as writer:
        for _ in range(int(count)):
            writer.append(maker.value(schema))


if sys.argv[1] == "read":
    for path in sys.argv[2:]:
        print(json.dumps(read(path)))
else:
    seed, count, folder, files = sys.argv[2:]
    for i in range(int(files)):
        write(int(seed) + i, count, "%s/%d.avro" % (folder, i))
