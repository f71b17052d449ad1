using System.Buffers.Binary;
using Millrace.Columnar.Avro;
using Millrace.Iceberg.Schemas;
using Millrace.Iceberg.Values;

namespace Millrace.Iceberg.Manifests;

/// <summary>A record's fields by Iceberg field id, whatever order, names and nullability the writer chose.</summary>
internal sealed class AvroFields
{
    private readonly AvroSchema[] _types;

    public AvroFields(AvroSchema record, string file)
    {
        if (record.Kind != AvroKind.Record)
            throw new IcebergException($"{file}: expected Avro records, found {record.Kind}");
        Ids = record.Fields.Select(f => f.IntAttribute("field-id") ?? -1).ToArray();
        _types = record.Fields.Select(f => f.Type).ToArray();
    }

    /// <summary>Field ids in the order of writing; -1 for fields without one.</summary>
    public int[] Ids { get; }

    public bool Has(int id) => Array.IndexOf(Ids, id) >= 0;

    /// <summary>The field's type, null branch taken away.</summary>
    public AvroSchema TypeOf(int index) => _types[index].Optional ?? _types[index];

    /// <summary>Reads a union's branch where there is one; false for null.</summary>
    public bool Present(ref AvroReader reader, int index)
    {
        var type = _types[index];
        if (type.Kind != AvroKind.Union)
            return type.Kind != AvroKind.Null;
        return type.Branches[reader.ReadIndex(type.Branches.Count)].Kind != AvroKind.Null;
    }

    public void Skip(ref AvroReader reader, int index) => reader.Skip(_types[index]);

    public long? OptionalLong(ref AvroReader reader, int index) => Present(ref reader, index) ? reader.ReadLong() : null;

    public int? OptionalInt(ref AvroReader reader, int index) => Present(ref reader, index) ? reader.ReadInt() : null;

    public byte[]? OptionalBytes(ref AvroReader reader, int index) => Present(ref reader, index) ? reader.ReadBytes().ToArray() : null;

    /// <summary>A value as <see cref="SingleValue"/> holds it, by the writer's Avro type.</summary>
    public static object ReadValue(ref AvroReader reader, AvroSchema type)
    {
        switch (type.Kind)
        {
            case AvroKind.Boolean:
                return reader.ReadBoolean();
            case AvroKind.Int:
                return reader.ReadInt();
            case AvroKind.Long:
                return reader.ReadLong();
            case AvroKind.Float:
                return reader.ReadFloat();
            case AvroKind.Double:
                return reader.ReadDouble();
            case AvroKind.String:
                return type.LogicalType == "uuid" ? Guid.Parse(reader.ReadString()) : reader.ReadString();
            case AvroKind.Bytes or AvroKind.Fixed:
                var bytes = type.Kind == AvroKind.Fixed ? reader.ReadFixed(type.Size) : reader.ReadBytes();
                if (type.LogicalType == "decimal" && bytes.Length is > 0 and <= 16)
                    return SingleValue.DecodeDecimal(bytes);
                if (type.LogicalType == "uuid" && bytes.Length == 16)
                    return new Guid(bytes, bigEndian: true);
                return bytes.ToArray();
            default:
                throw new AvroException($"a partition value of Avro type {type.Kind}");
        }
    }

    /// <summary>Widens a value that was written before its column's type was widened.</summary>
    public static object? Widen(object? value, PrimitiveType? type) => (type?.Kind, value) switch
    {
        (PrimitiveKind.Long, int i) => (long)i,
        (PrimitiveKind.Double, float f) => (double)f,
        (PrimitiveKind.Date, long l) => (int)l,
        _ => value,
    };

    public static void WriteValue(AvroWriter writer, PrimitiveType type, object value)
    {
        switch (type.Kind)
        {
            case PrimitiveKind.Boolean:
                writer.WriteBoolean((bool)value);
                break;
            case PrimitiveKind.Int or PrimitiveKind.Date:
                writer.WriteInt((int)value);
                break;
            case PrimitiveKind.Long or PrimitiveKind.Time or PrimitiveKind.Timestamp or PrimitiveKind.TimestampTz
                or PrimitiveKind.TimestampNs or PrimitiveKind.TimestampTzNs:
                writer.WriteLong((long)value);
                break;
            case PrimitiveKind.Float:
                writer.WriteFloat((float)value);
                break;
            case PrimitiveKind.Double:
                writer.WriteDouble((double)value);
                break;
            case PrimitiveKind.String:
                writer.WriteString((string)value);
                break;
            case PrimitiveKind.Uuid:
                writer.WriteFixed(((Guid)value).ToByteArray(bigEndian: true));
                break;
            case PrimitiveKind.Fixed:
                writer.WriteFixed((byte[])value);
                break;
            case PrimitiveKind.Decimal:
                Span<byte> wide = stackalloc byte[16];
                BinaryPrimitives.WriteInt128BigEndian(wide, (Int128)value);
                writer.WriteFixed(wide[(16 - ManifestSchemas.DecimalBytes(type.Precision))..]);
                break;
            default:
                writer.WriteBytes((byte[])value);
                break;
        }
    }
}
