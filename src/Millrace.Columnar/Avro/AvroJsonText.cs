using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Unicode;

namespace Millrace.Columnar.Avro;

/// <summary>Writes values as JSON text, for columns that hold nested values. Reused from value to value; one thread.</summary>
internal sealed class AvroJsonText
{
    private const int MostDepth = 64;
    private const int MostBytes = 64 << 20;

    // Items that take no bytes (null, empty records) would let a short record ask for any length.
    private const int MostEmptyItems = 1 << 16;

    private readonly ArrayBufferWriter<byte> _buffer = new(256);
    private readonly Utf8JsonWriter _json;

    public AvroJsonText() => _json = new Utf8JsonWriter(
        _buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true, MaxDepth = 2 * MostDepth });

    /// <summary>The text, valid until the next call.</summary>
    public ReadOnlySpan<byte> Write(AvroNode node, ref AvroReader reader)
    {
        _buffer.ResetWrittenCount();
        _json.Reset();
        Value(node, ref reader, 0);
        _json.Flush();
        return _buffer.WrittenSpan;
    }

    private void Value(AvroNode node, ref AvroReader reader, int depth)
    {
        if (node.Branches.Length > 0)
            node = node.Branches[reader.ReadIndex(node.Branches.Length)];
        if (node.Fault is not null)
            throw new AvroException(node.Fault);
        if (depth > MostDepth)
            throw new AvroException($"values nest deeper than {MostDepth}");
        if (_json.BytesPending + _json.BytesCommitted > MostBytes)
            throw new AvroException($"a nested value takes more than {MostBytes} bytes of JSON text");
        switch (node.Writer.Kind)
        {
            case AvroKind.Null:
                _json.WriteNullValue();
                break;
            case AvroKind.Boolean:
                _json.WriteBooleanValue(reader.ReadBoolean());
                break;
            case AvroKind.Int:
                _json.WriteNumberValue(reader.ReadInt());
                break;
            case AvroKind.Long:
                _json.WriteNumberValue(reader.ReadLong());
                break;
            case AvroKind.Float:
                Number(reader.ReadFloat());
                break;
            case AvroKind.Double:
                Number(reader.ReadDouble());
                break;
            case AvroKind.Enum:
                _json.WriteStringValue(node.Symbols[reader.ReadIndex(node.Symbols.Length)] ?? throw new AvroException("a symbol is none of the reader's"));
                break;
            case AvroKind.String:
                Text(reader.ReadBytes());
                break;
            case AvroKind.Bytes:
                Bytes(node, reader.ReadBytes());
                break;
            case AvroKind.Fixed:
                Bytes(node, reader.ReadFixed(node.Writer.Size));
                break;
            case AvroKind.Record:
                Record(node, ref reader, depth);
                break;
            default:
                Items(node, ref reader, depth);
                break;
        }
    }

    private void Record(AvroNode node, ref AvroReader reader, int depth)
    {
        _json.WriteStartObject();
        foreach (ref readonly var step in node.Steps.AsSpan())
        {
            if (step.Node is null)
            {
                reader.Skip(step.Writer);
                continue;
            }
            _json.WritePropertyName(step.Reader!.Name);
            Value(step.Node, ref reader, depth + 1);
        }
        foreach (ref readonly var missing in node.Defaults.AsSpan())
        {
            _json.WritePropertyName(missing.Reader.Name);
            var bytes = new AvroReader(missing.Bytes);
            Value(missing.Node, ref bytes, depth + 1);
        }
        _json.WriteEndObject();
    }

    private void Items(AvroNode node, ref AvroReader reader, int depth)
    {
        var map = node.Writer.Kind == AvroKind.Map;
        if (map)
            _json.WriteStartObject();
        else
            _json.WriteStartArray();
        var empty = 0;
        while (reader.ReadBlockCount() is not 0 and var count)
        {
            for (var i = 0L; i < count; i++)
            {
                var before = reader.Position;
                if (map)
                    Name(reader.ReadBytes());
                Value(node.Element!, ref reader, depth + 1);
                if (reader.Position == before && ++empty > MostEmptyItems)
                    throw new AvroException($"an array has more than {MostEmptyItems} items without bytes");
            }
        }
        if (map)
            _json.WriteEndObject();
        else
            _json.WriteEndArray();
    }

    private void Name(ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text))
            throw new AvroException("a map's key is not UTF-8");
        _json.WritePropertyName(text);
    }

    private void Text(ReadOnlySpan<byte> text)
    {
        if (!Utf8.IsValid(text))
            throw new AvroException("text is not UTF-8");
        _json.WriteStringValue(text);
    }

    private void Bytes(AvroNode node, ReadOnlySpan<byte> bytes)
    {
        // Read as text by promotion, else as JSON columns take bytes: base64.
        if (node.Reader.Kind == AvroKind.String)
            Text(bytes);
        else
            _json.WriteBase64StringValue(bytes);
    }

    private void Number(double value)
    {
        if (double.IsFinite(value))
            _json.WriteNumberValue(value);
        else
            _json.WriteStringValue(double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    }

    private void Number(float value)
    {
        if (float.IsFinite(value))
            _json.WriteNumberValue(value);
        else
            Number((double)value);
    }
}
