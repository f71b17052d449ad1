using Millrace.Columnar;

namespace Millrace.Query.Wire;

/// <summary>Writes rows of batches as DataRow messages, or as lines of COPY. One result's; not thread-safe.</summary>
internal sealed class RowEncoder
{
    private readonly ValueEncoder[] _encoders;

    /// <param name="columns">The result's columns.</param>
    /// <param name="formats">As in Bind: none, one for all, or one each.</param>
    /// <param name="zone">The session's time zone.</param>
    public RowEncoder(IReadOnlyList<SqlColumn> columns, short[] formats, TimeZoneInfo zone)
    {
        if (formats.Length > 1 && formats.Length != columns.Count)
        {
            throw new SqlException(
                $"bind message has {formats.Length} result formats but query has {columns.Count} columns", SqlStates.ProtocolViolation);
        }
        _encoders = new ValueEncoder[columns.Count];
        for (var i = 0; i < _encoders.Length; i++)
        {
            var told = PostgresTypes.Of(columns[i].Type, columns[i].SqlType);
            _encoders[i] = columns[i].Type.Kind == TypeKind.Null
                ? BytesEncoder.Instance
                : ValueEncoders.Create(columns[i].Type, told, BindMessage.FormatOf(formats, i) == 1, zone);
        }
    }

    public void WriteRow(BackendWriter writer, ColumnBatch batch, int row)
    {
        writer.Begin((byte)'D');
        writer.WriteInt16((short)_encoders.Length);
        for (var i = 0; i < _encoders.Length; i++)
        {
            var column = batch[i];
            if (column.IsNull(row))
            {
                writer.WriteInt32(-1);
                continue;
            }
            var start = writer.BeginValue();
            _encoders[i].Write(writer, column, row);
            writer.EndValue(start);
        }
        writer.End();
    }

    /// <summary>One value's bytes; the caller has looked for null.</summary>
    public void WriteValue(BackendWriter writer, ColumnBatch batch, int row, int column) => _encoders[column].Write(writer, batch[column], row);
}
