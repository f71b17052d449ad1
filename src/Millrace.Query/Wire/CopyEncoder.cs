using System.Text;
using Millrace.Columnar;
using Millrace.Query.Text;

namespace Millrace.Query.Wire;

/// <summary>Rows as lines of COPY's text or csv format, one CopyData message each (PostgreSQL, COPY, File Formats).</summary>
internal sealed class CopyEncoder(RowEncoder rows, IReadOnlyList<SqlColumn> columns, CopyFormat format) : IDisposable
{
    private readonly BackendWriter _value = new(1024);
    private readonly byte[] _null = Encoding.UTF8.GetBytes(format.Null);

    public void WriteHeader(BackendWriter writer)
    {
        if (!format.Header)
            return;
        writer.Begin((byte)'d');
        for (var i = 0; i < columns.Count; i++)
        {
            if (i > 0)
                writer.WriteByte((byte)format.Delimiter);
            WriteField(writer, Encoding.UTF8.GetBytes(columns[i].Name));
        }
        writer.WriteByte((byte)'\n');
        writer.End();
    }

    public void WriteRow(BackendWriter writer, ColumnBatch batch, int row)
    {
        writer.Begin((byte)'d');
        for (var i = 0; i < columns.Count; i++)
        {
            if (i > 0)
                writer.WriteByte((byte)format.Delimiter);
            if (batch[i].IsNull(row))
            {
                writer.WriteBytes(_null);
                continue;
            }
            _value.Clear();
            rows.WriteValue(_value, batch, row, i);
            WriteField(writer, _value.Written.Span);
        }
        writer.WriteByte((byte)'\n');
        writer.End();
    }

    public void Dispose() => _value.Dispose();

    private void WriteField(BackendWriter writer, ReadOnlySpan<byte> value)
    {
        if (format.Csv)
            WriteCsv(writer, value);
        else
            WriteText(writer, value);
    }

    private void WriteCsv(BackendWriter writer, ReadOnlySpan<byte> value)
    {
        var quote = (byte)format.Quote;
        if (!value.SequenceEqual(_null) && value.IndexOfAny((byte)format.Delimiter, quote) < 0 && value.IndexOfAny((byte)'\n', (byte)'\r') < 0
            && !value.SequenceEqual("\\."u8))
        {
            writer.WriteBytes(value);
            return;
        }
        writer.WriteByte(quote);
        foreach (var b in value)
        {
            if (b == quote)
                writer.WriteByte(quote);
            writer.WriteByte(b);
        }
        writer.WriteByte(quote);
    }

    private void WriteText(BackendWriter writer, ReadOnlySpan<byte> value)
    {
        foreach (var b in value)
        {
            var escape = b switch
            {
                (byte)'\\' => (byte)'\\',
                (byte)'\n' => (byte)'n',
                (byte)'\r' => (byte)'r',
                (byte)'\t' => (byte)'t',
                (byte)'\b' => (byte)'b',
                (byte)'\f' => (byte)'f',
                (byte)'\v' => (byte)'v',
                _ when b == format.Delimiter => b,
                _ => (byte)0,
            };
            if (escape == 0)
            {
                writer.WriteByte(b);
                continue;
            }
            writer.WriteByte((byte)'\\');
            writer.WriteByte(escape);
        }
    }
}
