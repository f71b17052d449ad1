namespace Millrace.Columnar.Avro;

/// <summary>
/// Decodes Avro records, one a row, straight into the columns of a schema: each record by its writer's schema, read as the reader's. A
/// record that is refused leaves nothing behind. Strict: a record's bytes must end where its schema does.
/// </summary>
/// <remarks>
/// A column takes the reader's field of its name; a column without one is null. What goes into which column is at
/// <see cref="AvroTypes.ColumnsOf"/>; a declared column may also be wider, or a time given as ISO 8601 text. Not thread-safe; reused from
/// batch to batch.
/// </remarks>
public sealed class AvroColumnDecoder : IDisposable
{
    private readonly ColumnBuilder[] _builders;
    private readonly AvroJsonText _json = new();

    /// <exception cref="NotSupportedException">A column is nested or an interval.</exception>
    public AvroColumnDecoder(Schema schema, int capacity = 1024)
    {
        Schema = schema;
        _builders = new ColumnBuilder[schema.Count];
        for (var i = 0; i < _builders.Length; i++)
        {
            if (schema[i].Type.Kind == TypeKind.Interval)
                throw new NotSupportedException($"column '{schema[i].Name}' of {schema[i].Type} cannot be read from Avro");
            _builders[i] = new ColumnBuilder(schema[i].Type, capacity);
        }
    }

    public Schema Schema { get; }

    /// <summary>Records decoded since the last <see cref="Build"/>.</summary>
    public int RowCount { get; private set; }

    /// <summary>Prepares reading records of a writer's schema; keep it for all of them.</summary>
    /// <param name="reader">Null reads what the writer wrote.</param>
    /// <exception cref="AvroException">The one cannot be read as the other, or not into these columns; the message says what differs.</exception>
    public AvroPlan Plan(AvroSchema writer, AvroSchema? reader = null)
    {
        reader ??= writer;
        if (writer.Kind != AvroKind.Record || reader.Kind != AvroKind.Record)
            throw new AvroException($"the Avro schema is {(writer.Kind != AvroKind.Record ? writer : reader)}; columns need a record");
        var root = new AvroResolver().Resolve(writer, reader);
        if (root.Fault is not null)
            throw new AvroException(root.Fault);
        var filled = new bool[_builders.Length];
        AvroColumnReader? Column(AvroField field, AvroNode node)
        {
            var index = Schema.IndexOf(field.Name);
            if (index < 0)
                return null;
            filled[index] = true;
            return new AvroColumnReader(node, Schema[index], _builders[index], _json);
        }
        var plan = new AvroPlan
        {
            Steps = Array.ConvertAll(root.Steps, s => (s.Writer, s.Node is null ? null : Column(s.Reader!, s.Node))),
            Defaults = [.. root.Defaults.Select(d => (d.Bytes, Column: Column(d.Reader, d.Node))).Where(d => d.Column is not null)!],
        };
        plan.Absent = [.. Enumerable.Range(0, filled.Length).Where(i => !filled[i])];
        foreach (var index in plan.Absent)
        {
            if (!Schema[index].Nullable)
                throw new AvroException($"column {Schema[index].Name} may not be null and the schema {reader} has no such field");
        }
        return plan;
    }

    /// <summary>Appends the record as a row, or tells why not and appends nothing.</summary>
    public bool TryDecode(AvroPlan plan, ReadOnlySpan<byte> record, out string? reason)
    {
        reason = null;
        try
        {
            var reader = new AvroReader(record);
            foreach (ref readonly var step in plan.Steps.AsSpan())
            {
                if (step.Column is null)
                    reader.Skip(step.Writer);
                else
                    step.Column.Read(ref reader);
            }
            if (reader.Remaining > 0)
                throw new AvroException($"{reader.Remaining} bytes are left behind the record");
            foreach (ref readonly var missing in plan.Defaults.AsSpan())
            {
                var bytes = new AvroReader(missing.Bytes);
                missing.Column!.Read(ref bytes);
            }
            foreach (var index in plan.Absent)
                _builders[index].AppendNull();
            RowCount++;
            return true;
        }
        catch (AvroException error)
        {
            reason = error.Message;
        }
        _builders.CutTo(RowCount);
        return false;
    }

    /// <summary>The rows so far as a batch that the caller owns; the decoder begins anew.</summary>
    public ColumnBatch Build()
    {
        var batch = _builders.BuildBatch(Schema, RowCount);
        RowCount = 0;
        return batch;
    }

    public void Dispose()
    {
        foreach (var builder in _builders)
            builder.Dispose();
    }
}

/// <summary>How records of one writer's schema go into the columns of the decoder that made it.</summary>
public sealed class AvroPlan
{
    internal AvroPlan()
    {
    }

    internal (AvroSchema Writer, AvroColumnReader? Column)[] Steps { get; init; } = [];

    internal (byte[] Bytes, AvroColumnReader? Column)[] Defaults { get; init; } = [];

    internal int[] Absent { get; set; } = [];
}
