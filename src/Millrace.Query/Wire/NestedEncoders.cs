using System.Buffers;
using System.Text.Json;
using Millrace.Columnar;

namespace Millrace.Query.Wire;

/// <summary><c>{1,2,NULL}</c>, elements quoted where they could be misread (PostgreSQL, Array Input and Output Syntax).</summary>
internal sealed class TextArrayEncoder(ValueEncoder element) : ValueEncoder
{
    private static readonly SearchValues<byte> Special = SearchValues.Create("{}\",\\ \t\n\r\v\f"u8);

    public override void Write(BackendWriter writer, Column column, int row)
    {
        var elements = column.Children[0];
        var offsets = column.Offsets;
        writer.WriteByte((byte)'{');
        for (var i = offsets[row]; i < offsets[row + 1]; i++)
        {
            if (i > offsets[row])
                writer.WriteByte((byte)',');
            if (elements.IsNull(i))
            {
                writer.WriteBytes("NULL"u8);
                continue;
            }
            var start = writer.Length;
            element.Write(writer, elements, i);
            QuoteFrom(writer, start);
        }
        writer.WriteByte((byte)'}');
    }

    private static void QuoteFrom(BackendWriter writer, int start)
    {
        var written = writer.Written[start..].Span;
        if (!written.IsEmpty && written.IndexOfAny(Special) < 0 && !IsNullWord(written))
            return;
        var plain = written.ToArray();
        writer.TrimTo(start);
        writer.WriteByte((byte)'"');
        foreach (var b in plain)
        {
            if (b is (byte)'"' or (byte)'\\')
                writer.WriteByte((byte)'\\');
            writer.WriteByte(b);
        }
        writer.WriteByte((byte)'"');
    }

    private static bool IsNullWord(ReadOnlySpan<byte> text) => System.Text.Ascii.EqualsIgnoreCase(text, "null"u8);
}

/// <summary>One dimension, its length, lower bound 1, then each element with its length (array_send in arrayfuncs.c).</summary>
internal sealed class BinaryArrayEncoder(ValueEncoder element, int elementOid) : ValueEncoder
{
    public override void Write(BackendWriter writer, Column column, int row)
    {
        var elements = column.Children[0];
        var offsets = column.Offsets;
        var (first, end) = (offsets[row], offsets[row + 1]);
        var hasNulls = 0;
        for (var i = first; i < end && hasNulls == 0; i++)
            hasNulls = elements.IsNull(i) ? 1 : 0;
        writer.WriteInt32(end > first ? 1 : 0);
        writer.WriteInt32(hasNulls);
        writer.WriteInt32(elementOid);
        if (end == first)
            return;
        writer.WriteInt32(end - first);
        writer.WriteInt32(1);
        for (var i = first; i < end; i++)
        {
            if (elements.IsNull(i))
            {
                writer.WriteInt32(-1);
                continue;
            }
            var start = writer.BeginValue();
            element.Write(writer, elements, i);
            writer.EndValue(start);
        }
    }
}

/// <summary>Structs, maps and lists of them as JSON text.</summary>
internal sealed class JsonEncoder(TimeZoneInfo zone) : ValueEncoder
{
    private static readonly JsonWriterOptions Relaxed = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        SkipValidation = true,
    };

    private readonly Dictionary<DataType, ValueEncoder> _scalars = [];
    private readonly BackendWriter _scratch = new(256);
    private Utf8JsonWriter? _json;

    public override void Write(BackendWriter writer, Column column, int row)
    {
        if (_json is null)
            _json = new Utf8JsonWriter(writer, Relaxed);
        else
            _json.Reset(writer);
        WriteValue(_json, column, row);
        _json.Flush();
    }

    private void WriteValue(Utf8JsonWriter json, Column column, int row)
    {
        if (column.IsNull(row))
        {
            json.WriteNullValue();
            return;
        }
        switch (column.Type.Kind)
        {
            case TypeKind.Struct:
                json.WriteStartObject();
                for (var i = 0; i < column.Children.Count; i++)
                {
                    json.WritePropertyName(column.Type.Children![i].Name);
                    WriteValue(json, column.Children[i], row + column.Offset);
                }
                json.WriteEndObject();
                break;
            case TypeKind.List:
                json.WriteStartArray();
                for (var i = column.Offsets[row]; i < column.Offsets[row + 1]; i++)
                    WriteValue(json, column.Children[0], i);
                json.WriteEndArray();
                break;
            case TypeKind.Map:
                json.WriteStartObject();
                var entries = column.Children[0];
                for (var i = column.Offsets[row]; i < column.Offsets[row + 1]; i++)
                {
                    json.WritePropertyName(Scalar(entries.Children[0], i + entries.Offset));
                    WriteValue(json, entries.Children[1], i + entries.Offset);
                }
                json.WriteEndObject();
                break;
            case TypeKind.Boolean:
                json.WriteBooleanValue(column.GetBoolean(row));
                break;
            case TypeKind.Float32 or TypeKind.Float64:
                var text = Scalar(column, row);
                if (text.IndexOfAny("NI"u8) >= 0)
                    json.WriteStringValue(text);
                else
                    json.WriteRawValue(text, skipInputValidation: true);
                break;
            case TypeKind.Int8 or TypeKind.Int16 or TypeKind.Int32 or TypeKind.Int64 or TypeKind.UInt8 or TypeKind.UInt16 or TypeKind.UInt32
                or TypeKind.UInt64 or TypeKind.Decimal128:
                json.WriteRawValue(Scalar(column, row), skipInputValidation: true);
                break;
            default:
                json.WriteStringValue(Scalar(column, row));
                break;
        }
    }

    private ReadOnlySpan<byte> Scalar(Column column, int row)
    {
        if (column.Type.Kind is TypeKind.Struct or TypeKind.List or TypeKind.Map)
            throw new SqlException($"a map with keys of type {column.Type} cannot be sent", SqlStates.FeatureNotSupported);
        if (!_scalars.TryGetValue(column.Type, out var encoder))
            _scalars[column.Type] = encoder = ValueEncoders.Create(column.Type, PostgresTypes.Of(column.Type), binary: false, zone);
        _scratch.Clear();
        encoder.Write(_scratch, column, row);
        return _scratch.Written.Span;
    }
}
