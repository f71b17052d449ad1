using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using Millrace.Columnar.Json;

namespace Millrace.Columnar.Avro;

/// <summary>
/// Writes rows of columns as Avro records: the way back of <see cref="AvroTypes.TypeOf"/>. A column that may be null becomes a union of null and its
/// type with the default null, so that readers of a later version may do without it. Nested columns and intervals become a string with the text
/// that <see cref="JsonRowWriter"/> gives them. No allocation by the row, save for nested values.
/// </summary>
/// <remarks>Not thread-safe: nested values are written into a buffer that is used again.</remarks>
public sealed class AvroRowWriter
{
    private readonly ArrayBufferWriter<byte> _text = new(256);

    /// <param name="schema">The columns.</param>
    /// <param name="record">The record's full name, e.g. <c>millrace.orders</c>.</param>
    /// <exception cref="AvroException">A column's name cannot name a field.</exception>
    public AvroRowWriter(Schema schema, string record)
    {
        Schema = schema;
        foreach (var field in schema.Fields)
        {
            if (!IsName(field.Name))
                throw new AvroException($"column '{field.Name}' cannot be a field in Avro, whose names have letters, digits and _ and begin with no digit; give it another name with AS");
        }
        SchemaText = TextOf(schema, record);
    }

    public Schema Schema { get; }

    /// <summary>The Avro schema of the records.</summary>
    public string SchemaText { get; }

    /// <summary>Whether a text may name a record or a field (Avro 1.12, Names).</summary>
    public static bool IsName(string text) =>
        text.Length > 0 && !char.IsAsciiDigit(text[0]) && !text.AsSpan().ContainsAnyExcept(NameLetters);

    private static readonly SearchValues<char> NameLetters = SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    /// <summary>Appends one row.</summary>
    /// <exception cref="AvroException">A column that is not to be null is.</exception>
    public void Write(ColumnBatch batch, int row, AvroWriter output)
    {
        for (var i = 0; i < Schema.Count; i++)
        {
            var column = batch.Columns[i];
            var present = !column.IsNull(row);
            if (Schema[i].Nullable)
                output.WriteOptional(present);
            else if (!present)
                throw new AvroException($"column {Schema[i].Name} is null and its field is not");
            if (present)
                WriteValue(column, row, output);
        }
    }

    private void WriteValue(Column column, int row, AvroWriter output)
    {
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean: output.WriteBoolean(column.GetBoolean(row)); break;
            case TypeKind.Int8: output.WriteLong(column.Values<sbyte>()[row]); break;
            case TypeKind.Int16: output.WriteLong(column.Values<short>()[row]); break;
            case TypeKind.Int32 or TypeKind.Date32: output.WriteLong(column.Values<int>()[row]); break;
            case TypeKind.UInt8: output.WriteLong(column.Values<byte>()[row]); break;
            case TypeKind.UInt16: output.WriteLong(column.Values<ushort>()[row]); break;
            case TypeKind.UInt32: output.WriteLong(column.Values<uint>()[row]); break;
            case TypeKind.UInt64: WriteUnscaled((Int128)column.Values<ulong>()[row], output); break;
            case TypeKind.Int64 or TypeKind.Time64 or TypeKind.Timestamp or TypeKind.TimestampTz: output.WriteLong(column.Values<long>()[row]); break;
            case TypeKind.Float32: output.WriteFloat(column.Values<float>()[row]); break;
            case TypeKind.Float64: output.WriteDouble(column.Values<double>()[row]); break;
            case TypeKind.Utf8 or TypeKind.Binary: output.WriteBytes(column.GetBytes(row)); break;
            case TypeKind.Decimal128: WriteUnscaled(column.Values<Int128>()[row], output); break;
            default:
                _text.ResetWrittenCount();
                JsonRowWriter.WriteValue(column, row, _text);
                output.WriteBytes(column.Type.Kind == TypeKind.Interval ? _text.WrittenSpan[1..^1] : _text.WrittenSpan);
                break;
        }
    }

    // Two's complement, most significant byte first, as few bytes as hold the sign.
    private static void WriteUnscaled(Int128 value, AvroWriter output)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteInt128BigEndian(bytes, value);
        var from = 0;
        while (from < 15 && ((bytes[from] == 0 && bytes[from + 1] < 0x80) || (bytes[from] == 0xFF && bytes[from + 1] >= 0x80)))
            from++;
        output.WriteBytes(bytes[from..]);
    }

    private static string TextOf(Schema schema, string record)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using var json = new Utf8JsonWriter(buffer);
        json.WriteStartObject();
        json.WriteString("type", "record");
        var dot = record.LastIndexOf('.');
        json.WriteString("name", record[(dot + 1)..]);
        if (dot > 0)
            json.WriteString("namespace", record[..dot]);
        json.WriteStartArray("fields");
        foreach (var field in schema.Fields)
        {
            json.WriteStartObject();
            json.WriteString("name", field.Name);
            json.WritePropertyName("type");
            if (field.Nullable)
            {
                json.WriteStartArray();
                json.WriteStringValue("null");
            }
            WriteType(json, field.Type);
            if (field.Nullable)
            {
                json.WriteEndArray();
                json.WriteNull("default");
            }
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteEndObject();
        json.Flush();
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private static void WriteType(Utf8JsonWriter json, DataType type)
    {
        var (name, logical) = type.Kind switch
        {
            TypeKind.Boolean => ("boolean", null as string),
            TypeKind.Int8 or TypeKind.Int16 or TypeKind.Int32 or TypeKind.UInt8 or TypeKind.UInt16 => ("int", null),
            TypeKind.Int64 or TypeKind.UInt32 => ("long", null),
            TypeKind.Float32 => ("float", null),
            TypeKind.Float64 => ("double", null),
            TypeKind.Binary => ("bytes", null),
            TypeKind.Date32 => ("int", "date"),
            TypeKind.Time64 => ("long", "time-micros"),
            TypeKind.Timestamp => ("long", "local-timestamp-micros"),
            TypeKind.TimestampTz => ("long", "timestamp-micros"),
            TypeKind.Decimal128 or TypeKind.UInt64 => ("bytes", "decimal"),
            _ => ("string", null),
        };
        if (logical is null)
        {
            json.WriteStringValue(name);
            return;
        }
        json.WriteStartObject();
        json.WriteString("type", name);
        json.WriteString("logicalType", logical);
        if (logical == "decimal")
        {
            json.WriteNumber("precision", type.Kind == TypeKind.UInt64 ? 20 : type.Precision);
            json.WriteNumber("scale", type.Kind == TypeKind.UInt64 ? 0 : type.Scale);
        }
        json.WriteEndObject();
    }
}
