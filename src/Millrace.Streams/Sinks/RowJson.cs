using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Millrace.Columnar;

namespace Millrace.Streams.Sinks;

/// <summary>
/// Rows as JSON objects: numbers as numbers (decimals with their scale), instants and dates in ISO 8601, binary in base64, NaN and
/// infinities as text. Not thread-safe.
/// </summary>
internal sealed class RowJson
{
    private static readonly JsonWriterOptions Options = new() { SkipValidation = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly ArrayBufferWriter<byte> _buffer = new(1024);
    private readonly Utf8JsonWriter _writer;
    private readonly char[] _scratch = new char[64];

    public RowJson() => _writer = new Utf8JsonWriter(_buffer, Options);

    /// <summary>The row as an object; valid until the next call. Only <paramref name="columns"/> when given.</summary>
    public ReadOnlySpan<byte> Write(ColumnBatch batch, int row, IReadOnlyList<int>? columns = null)
    {
        _buffer.ResetWrittenCount();
        _writer.Reset(_buffer);
        _writer.WriteStartObject();
        var count = columns?.Count ?? batch.Columns.Count;
        for (var i = 0; i < count; i++)
        {
            var column = columns?[i] ?? i;
            _writer.WritePropertyName(batch.Schema[column].Name);
            WriteValue(batch[column], row);
        }
        _writer.WriteEndObject();
        _writer.Flush();
        return _buffer.WrittenSpan;
    }

    /// <summary>One value as text: what stands in JSON, without the quotes around text; empty for null. Valid until the next call.</summary>
    public ReadOnlySpan<byte> WriteText(Column column, int row)
    {
        if (column.IsNull(row))
            return [];
        if (column.Type.IsVariable)
            return column.GetBytes(row);
        _buffer.ResetWrittenCount();
        _writer.Reset(_buffer);
        WriteValue(column, row);
        _writer.Flush();
        var text = _buffer.WrittenSpan;
        return text.Length >= 2 && text[0] == '"' ? text[1..^1] : text;
    }

    private void WriteValue(Column column, int row)
    {
        if (column.IsNull(row))
        {
            _writer.WriteNullValue();
            return;
        }
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean: _writer.WriteBooleanValue(column.GetBoolean(row)); break;
            case TypeKind.Int8: _writer.WriteNumberValue(column.Values<sbyte>()[row]); break;
            case TypeKind.Int16: _writer.WriteNumberValue(column.Values<short>()[row]); break;
            case TypeKind.Int32: _writer.WriteNumberValue(column.Values<int>()[row]); break;
            case TypeKind.Int64: _writer.WriteNumberValue(column.Values<long>()[row]); break;
            case TypeKind.UInt8: _writer.WriteNumberValue((uint)column.Values<byte>()[row]); break;
            case TypeKind.UInt16: _writer.WriteNumberValue((uint)column.Values<ushort>()[row]); break;
            case TypeKind.UInt32: _writer.WriteNumberValue(column.Values<uint>()[row]); break;
            case TypeKind.UInt64: _writer.WriteNumberValue(column.Values<ulong>()[row]); break;
            case TypeKind.Float32: WriteFloat(column.Values<float>()[row]); break;
            case TypeKind.Float64: WriteFloat(column.Values<double>()[row]); break;
            case TypeKind.Decimal128: WriteDecimal(column.Values<Int128>()[row], column.Type.Scale); break;
            case TypeKind.Date32: WriteFormatted(DateOnly.FromDayNumber(719_162 + column.Values<int>()[row]), "yyyy-MM-dd"); break;
            case TypeKind.Time64: WriteFormatted(new TimeOnly(column.Values<long>()[row] * 10), "HH:mm:ss.FFFFFF"); break;
            case TypeKind.Timestamp: WriteInstant(column.Values<long>()[row], "yyyy-MM-ddTHH:mm:ss.FFFFFF"); break;
            case TypeKind.TimestampTz: WriteInstant(column.Values<long>()[row], "yyyy-MM-ddTHH:mm:ss.FFFFFFZ"); break;
            case TypeKind.Utf8: _writer.WriteStringValue(column.GetBytes(row)); break;
            case TypeKind.Binary: _writer.WriteBase64StringValue(column.GetBytes(row)); break;
            default: WriteNested(column, row); break;
        }
    }

    private void WriteNested(Column column, int row)
    {
        switch (column.Type.Kind)
        {
            case TypeKind.List:
                _writer.WriteStartArray();
                var offsets = column.Offsets;
                for (var i = offsets[row]; i < offsets[row + 1]; i++)
                    WriteValue(column.Children[0], i);
                _writer.WriteEndArray();
                break;
            case TypeKind.Struct:
                _writer.WriteStartObject();
                for (var i = 0; i < column.Children.Count; i++)
                {
                    _writer.WritePropertyName(column.Type.Children![i].Name);
                    WriteValue(column.Children[i], row + column.Offset);
                }
                _writer.WriteEndObject();
                break;
            case TypeKind.Map:
                _writer.WriteStartArray();
                var entries = column.Offsets;
                for (var i = entries[row]; i < entries[row + 1]; i++)
                    WriteValue(column.Children[0], i);
                _writer.WriteEndArray();
                break;
            default:
                throw new NotSupportedException($"a value of {column.Type} cannot be written as JSON");
        }
    }

    private void WriteFloat(double value)
    {
        if (double.IsFinite(value))
            _writer.WriteNumberValue(value);
        else
            _writer.WriteStringValue(value.ToString(CultureInfo.InvariantCulture));
    }

    private void WriteDecimal(Int128 unscaled, int scale)
    {
        Span<char> digits = _scratch;
        var negative = unscaled < 0;
        var magnitude = negative ? (UInt128)(-unscaled) : (UInt128)unscaled;
        magnitude.TryFormat(digits[2..], out var length, $"D{scale + 1}", CultureInfo.InvariantCulture);
        var text = negative ? digits[1..(length + 2)] : digits[2..(length + 2)];
        if (negative)
            text[0] = '-';
        if (scale == 0)
        {
            _writer.WriteRawValue(text, skipInputValidation: true);
            return;
        }
        var point = text.Length - scale;
        Span<char> written = stackalloc char[48];
        text[..point].CopyTo(written);
        written[point] = '.';
        text[point..].CopyTo(written[(point + 1)..]);
        _writer.WriteRawValue(written[..(text.Length + 1)], skipInputValidation: true);
    }

    private void WriteInstant(long micros, string format)
    {
        // Instants outside of .NET's years 1 to 9999 stay readable as the number that they are.
        var ticks = DateTime.UnixEpoch.Ticks + (Int128)micros * 10;
        if (ticks < 0 || ticks > DateTime.MaxValue.Ticks)
            _writer.WriteNumberValue(micros);
        else
            WriteFormatted(new DateTime((long)ticks, DateTimeKind.Utc), format);
    }

    private void WriteFormatted<T>(T value, string format)
        where T : ISpanFormattable
    {
        value.TryFormat(_scratch, out var length, format, CultureInfo.InvariantCulture);
        _writer.WriteStringValue(_scratch.AsSpan(0, length));
    }
}
