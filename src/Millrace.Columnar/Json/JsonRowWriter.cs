using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Millrace.Columnar.Json;

/// <summary>
/// Writes rows as JSON objects: what a topic sink sends and the HTTP API answers. Times in ISO 8601 (UTC for TIMESTAMPTZ), decimals and
/// 64-bit numbers as numbers with all their digits, BLOB in base64, nested columns as objects and arrays, NaN and infinities as null.
/// </summary>
/// <remarks>Thread-safe for reading its schema; one writer may serve many threads, for it keeps no state.</remarks>
public sealed unsafe class JsonRowWriter
{
    private readonly byte[][] _keys;

    public JsonRowWriter(Schema schema)
    {
        Schema = schema;
        _keys = new byte[schema.Count][];
        for (var i = 0; i < _keys.Length; i++)
            _keys[i] = Key(schema[i].Name, first: i == 0);
    }

    public Schema Schema { get; }

    /// <summary>Appends one row as an object without white space.</summary>
    public void Write(ColumnBatch batch, int row, ArrayBufferWriter<byte> output)
    {
        Raw(output, (byte)'{');
        for (var i = 0; i < _keys.Length; i++)
        {
            output.Write(_keys[i]);
            WriteValue(batch.Columns[i], row, output);
        }
        Raw(output, (byte)'}');
    }

    /// <summary>Appends all rows as an array of objects.</summary>
    public void WriteArray(ColumnBatch batch, ArrayBufferWriter<byte> output)
    {
        Raw(output, (byte)'[');
        for (var row = 0; row < batch.RowCount; row++)
        {
            if (row > 0)
                Raw(output, (byte)',');
            Write(batch, row, output);
        }
        Raw(output, (byte)']');
    }

    /// <summary>Appends one value.</summary>
    public static void WriteValue(Column column, int row, ArrayBufferWriter<byte> output)
    {
        if (column.IsNull(row))
        {
            output.Write("null"u8);
            return;
        }
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean: output.Write(column.GetBoolean(row) ? "true"u8 : "false"u8); break;
            case TypeKind.Int8: Number(output, column.Values<sbyte>()[row]); break;
            case TypeKind.Int16: Number(output, column.Values<short>()[row]); break;
            case TypeKind.Int32: Number(output, column.Values<int>()[row]); break;
            case TypeKind.Int64: Number(output, column.Values<long>()[row]); break;
            case TypeKind.UInt8: Number(output, column.Values<byte>()[row]); break;
            case TypeKind.UInt16: Number(output, column.Values<ushort>()[row]); break;
            case TypeKind.UInt32: Number(output, column.Values<uint>()[row]); break;
            case TypeKind.UInt64: Number(output, column.Values<ulong>()[row]); break;
            case TypeKind.Float32: Float(output, column.Values<float>()[row]); break;
            case TypeKind.Float64: Double(output, column.Values<double>()[row]); break;
            case TypeKind.Utf8: Text(output, column.GetBytes(row)); break;
            case TypeKind.Binary: Blob(output, column.GetBytes(row)); break;
            case TypeKind.Decimal128: Ascii(output, ColumnText.Decimal(column.Values<Int128>()[row], column.Type.Scale)); break;
            case TypeKind.Date32: Quoted(output, ColumnText.Date(column.Values<int>()[row])); break;
            case TypeKind.Time64: Quoted(output, ColumnText.Time(column.Values<long>()[row])); break;
            case TypeKind.Timestamp: Quoted(output, ColumnText.Timestamp(column.Values<long>()[row], utc: false)); break;
            case TypeKind.TimestampTz: Quoted(output, ColumnText.Timestamp(column.Values<long>()[row], utc: true)); break;
            case TypeKind.Interval: Quoted(output, ColumnText.Interval(column.Values<IntervalValue>()[row])); break;
            default: Nested(column, row, output); break;
        }
    }

    private static void Nested(Column column, int row, ArrayBufferWriter<byte> output)
    {
        if (column.Type.Kind == TypeKind.Struct)
        {
            Raw(output, (byte)'{');
            for (var i = 0; i < column.Children.Count; i++)
            {
                output.Write(Key(column.Type.Children![i].Name, i == 0));
                WriteValue(column.Children[i], column.Offset + row, output);
            }
            Raw(output, (byte)'}');
            return;
        }
        var offsets = column.Offsets;
        var map = column.Type.Kind == TypeKind.Map;
        Raw(output, map ? (byte)'{' : (byte)'[');
        for (var item = offsets[row]; item < offsets[row + 1]; item++)
        {
            if (item > offsets[row])
                Raw(output, (byte)',');
            if (map)
            {
                var entry = column.Children[0];
                MapKey(entry.Children[0], entry.Offset + item, output);
                Raw(output, (byte)':');
                WriteValue(entry.Children[1], entry.Offset + item, output);
            }
            else
            {
                WriteValue(column.Children[0], item, output);
            }
        }
        Raw(output, map ? (byte)'}' : (byte)']');
    }

    // A key that is no text is quoted as it is written.
    private static void MapKey(Column keys, int row, ArrayBufferWriter<byte> output)
    {
        var text = new ArrayBufferWriter<byte>();
        WriteValue(keys, row, text);
        if (text.WrittenSpan[0] == '"')
            output.Write(text.WrittenSpan);
        else
            Text(output, text.WrittenSpan);
    }

    private static byte[] Key(string name, bool first) =>
        Encoding.UTF8.GetBytes($"{(first ? "" : ",")}\"{JsonEncodedText.Encode(name, JavaScriptEncoder.UnsafeRelaxedJsonEscaping)}\":");

    private static void Text(ArrayBufferWriter<byte> output, ReadOnlySpan<byte> text)
    {
        Raw(output, (byte)'"');
        for (; ; )
        {
            var stop = text.IndexOfAnyInRange((byte)0, (byte)0x1F) is var control && text.IndexOfAny((byte)'"', (byte)'\\') is var special
                ? control < 0 ? special : special < 0 ? control : Math.Min(control, special)
                : -1;
            if (stop < 0)
                break;
            output.Write(text[..stop]);
            Escape(output, text[stop]);
            text = text[(stop + 1)..];
        }
        output.Write(text);
        Raw(output, (byte)'"');
    }

    private static void Escape(ArrayBufferWriter<byte> output, byte value)
    {
        var letter = value switch
        {
            (byte)'"' => (byte)'"',
            (byte)'\\' => (byte)'\\',
            (byte)'\n' => (byte)'n',
            (byte)'\r' => (byte)'r',
            (byte)'\t' => (byte)'t',
            (byte)'\b' => (byte)'b',
            (byte)'\f' => (byte)'f',
            _ => (byte)'u',
        };
        Raw(output, (byte)'\\');
        Raw(output, letter);
        if (letter == 'u')
        {
            output.Write("00"u8);
            Raw(output, (byte)('0' + (value >> 4)));
            Raw(output, "0123456789abcdef"u8[value & 15]);
        }
    }

    private static void Blob(ArrayBufferWriter<byte> output, ReadOnlySpan<byte> value)
    {
        Raw(output, (byte)'"');
        var room = output.GetSpan(Base64.GetMaxEncodedToUtf8Length(value.Length));
        Base64.EncodeToUtf8(value, room, out _, out var written);
        output.Advance(written);
        Raw(output, (byte)'"');
    }

    private static void Number<T>(ArrayBufferWriter<byte> output, T value)
        where T : IUtf8SpanFormattable
    {
        value.TryFormat(output.GetSpan(24), out var written, default, CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    private static void Double(ArrayBufferWriter<byte> output, double value)
    {
        if (!double.IsFinite(value))
        {
            output.Write("null"u8);
            return;
        }
        value.TryFormat(output.GetSpan(32), out var written, "R", CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    private static void Float(ArrayBufferWriter<byte> output, float value)
    {
        if (!float.IsFinite(value))
        {
            output.Write("null"u8);
            return;
        }
        value.TryFormat(output.GetSpan(32), out var written, "R", CultureInfo.InvariantCulture);
        output.Advance(written);
    }

    private static void Quoted(ArrayBufferWriter<byte> output, string text)
    {
        Raw(output, (byte)'"');
        Ascii(output, text);
        Raw(output, (byte)'"');
    }

    private static void Ascii(ArrayBufferWriter<byte> output, string text) =>
        output.Advance(Encoding.ASCII.GetBytes(text, output.GetSpan(text.Length)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Raw(ArrayBufferWriter<byte> output, byte value)
    {
        output.GetSpan(1)[0] = value;
        output.Advance(1);
    }
}
