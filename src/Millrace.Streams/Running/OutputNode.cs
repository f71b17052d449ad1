using System.Buffers;
using System.Text;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Columnar.Kernels;
using Millrace.Streams.Alerts;
using Millrace.Kafka.Clients;
using Millrace.Streams.Plans;
using Millrace.Streams.Queries;
using Millrace.Streams.Sinks;

namespace Millrace.Streams.Running;

/// <summary>A source's or query's rows and who takes them. For the stream's thread, except for <see cref="LiveRows"/>.</summary>
internal sealed class OutputNode(string name, Schema schema, int liveRows) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Queue<ColumnBatch> _newest = new();
    private int _newestRows;
    private bool _disposed;

    public string Name => name;

    public Schema Schema => schema;

    /// <summary>Rows since the pipeline's first start.</summary>
    public long Rows { get; set; }

    public long LateRows { get; set; }

    public List<StatelessStep> Stateless { get; } = [];

    public List<WindowedStep> Windowed { get; } = [];

    public List<TableInlet> Tables { get; } = [];

    public List<TopicInlet> Topics { get; } = [];

    public List<AlertInlet> Alerts { get; } = [];

    /// <summary>The windowed query that makes the rows, or null: then the newest rows are kept for display.</summary>
    public WindowedStep? Windows { get; init; }

    /// <summary>Keeps handles on the newest rows.</summary>
    public void KeepNewest(ColumnBatch batch)
    {
        if (Windows is not null || batch.RowCount == 0)
            return;
        lock (_lock)
        {
            if (_disposed)
                return;
            _newest.Enqueue(batch.RowCount > liveRows ? batch.Slice(batch.RowCount - liveRows, liveRows) : batch.Retain());
            _newestRows += Math.Min(liveRows, batch.RowCount);
            while (_newestRows - _newest.Peek().RowCount >= liveRows)
            {
                var oldest = _newest.Dequeue();
                _newestRows -= oldest.RowCount;
                oldest.Dispose();
            }
        }
    }

    /// <summary>The output's present rows. Thread-safe; the caller disposes of them.</summary>
    public ColumnBatch LiveRows()
    {
        if (Windows is not null)
            return Windows.LiveRows();
        var batches = new List<ColumnBatch>();
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            batches.AddRange(_newest.Select(b => b.Retain()));
        }
        using var all = Concatenation.Concat(schema, batches);
        foreach (var batch in batches)
            batch.Dispose();
        var surplus = Math.Max(0, all.RowCount - liveRows);
        return surplus == 0 ? all.Retain() : all.Slice(surplus, liveRows);
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            foreach (var batch in _newest)
                batch.Dispose();
            _newest.Clear();
        }
        foreach (var topic in Topics)
            topic.Dispose();
    }
}

/// <summary>Rows into a table, of which the sink may take fewer columns than the output has.</summary>
internal sealed class TableInlet(IcebergSinkPlan plan, TableSink sink, Schema schema)
{
    public IcebergSinkPlan Plan => plan;

    public TableSink Sink => sink;

    public void Add(ColumnBatch batch)
    {
        if (batch.Schema.Count == schema.Count)
        {
            sink.Add(batch);
            return;
        }
        // A source without a time column carries the Kafka timestamp behind its own columns; raw tables do not.
        using var narrow = new ColumnBatch(schema, batch.RowCount, batch.Columns.Take(schema.Count).Select(c => c.Retain()).ToArray());
        sink.Add(narrow);
    }
}

/// <summary>Rows into a topic, as JSON or Avro.</summary>
internal sealed class TopicInlet : IDisposable
{
    private readonly JsonRowWriter _writer;
    private readonly int[] _key;
    private readonly ArrayBufferWriter<byte> _value = new(1024);
    private readonly ArrayBufferWriter<byte> _keyText = new(256);
    private readonly Schema _schema;
    private readonly AvroFrames? _avro;

    public TopicInlet(TopicSinkPlan plan, TopicDelivery delivery, Schema schema, ClientLogins logins)
    {
        _avro = plan.Avro is { } avro ? new AvroFrames(avro, schema, logins.ForRegistry(avro.Registry)) : null;
        Plan = plan;
        Delivery = delivery;
        _schema = schema;
        _writer = new JsonRowWriter(schema);
        _key = plan.Key.Select(schema.IndexOf).ToArray();
    }

    public TopicSinkPlan Plan { get; }

    public TopicDelivery Delivery { get; }

    /// <summary>Records since the last barrier.</summary>
    public OwedRecords Pending { get; private set; } = new();

    public OwedRecords TakePending()
    {
        var taken = Pending;
        Pending = new OwedRecords();
        return taken;
    }

    public void Add(ColumnBatch batch)
    {
        using var narrow = batch.Schema.Count == _schema.Count
            ? batch.Retain()
            : new ColumnBatch(_schema, batch.RowCount, batch.Columns.Take(_schema.Count).Select(c => c.Retain()).ToArray());
        for (var row = 0; row < narrow.RowCount; row++)
        {
            WriteKey(narrow, row);
            Pending.Begin(_keyText.WrittenSpan, _key.Length > 0, _avro is null ? Json(narrow, row) : _avro.Write(narrow, row), hasValue: true);
            Pending.End();
        }
    }

    public void Dispose() => _avro?.Dispose();

    private ReadOnlySpan<byte> Json(ColumnBatch batch, int row)
    {
        _value.ResetWrittenCount();
        _writer.Write(batch, row, _value);
        return _value.WrittenSpan;
    }

    // One text column is the key as it is, so that it partitions as other producers' keys do; several make a JSON array.
    private void WriteKey(ColumnBatch batch, int row)
    {
        _keyText.ResetWrittenCount();
        if (_key.Length == 0)
            return;
        if (_key.Length == 1)
        {
            var column = batch[_key[0]];
            if (column.Type.IsVariable && !column.IsNull(row))
                _keyText.Write(column.GetBytes(row));
            else
                JsonRowWriter.WriteValue(column, row, _keyText);
            return;
        }
        for (var i = 0; i < _key.Length; i++)
        {
            _keyText.Write<byte>([i == 0 ? (byte)'[' : (byte)',']);
            JsonRowWriter.WriteValue(batch[_key[i]], row, _keyText);
        }
        _keyText.Write<byte>([(byte)']']);
    }
}
