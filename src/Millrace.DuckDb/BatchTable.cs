using Millrace.Columnar;
using Millrace.DuckDb.Scanning;

namespace Millrace.DuckDb;

/// <summary>
/// Batches that stand as a temporary view in SQL. A statement that starts reads the batches set at that moment, and holds them until it
/// ends. Setting is thread-safe.
/// </summary>
public sealed class BatchTable : IDisposable
{
    private readonly DuckDbConnection _connection;
    private readonly BatchRegistry _registry;
    private readonly Lock _lock = new();
    private ColumnBatch[] _batches = [];
    private bool _forgotten;

    internal BatchTable(DuckDbConnection connection, BatchRegistry registry, string name, Schema schema)
    {
        _connection = connection;
        _registry = registry;
        Name = name;
        Schema = schema;
        Id = registry.Add(this);
    }

    public string Name { get; }

    public Schema Schema { get; }

    internal long Id { get; }

    /// <summary>Exchanges the rows for one batch; the table takes its own handle.</summary>
    /// <exception cref="ArgumentException">The batch has other columns.</exception>
    public void Set(ColumnBatch batch)
    {
        Require(batch);
        Exchange([batch.Retain()]);
    }

    /// <summary>Exchanges the rows for those of the batches, in order; the table takes its own handles.</summary>
    /// <exception cref="ArgumentException">A batch has other columns.</exception>
    public void Set(IReadOnlyList<ColumnBatch> batches)
    {
        foreach (var batch in batches)
            Require(batch);
        var retained = new ColumnBatch[batches.Count];
        for (var i = 0; i < retained.Length; i++)
            retained[i] = batches[i].Retain();
        Exchange(retained);
    }

    /// <summary>Empties the table, giving up its handles.</summary>
    public void Clear() => Exchange([]);

    /// <summary>Drops the view, unless the connection is closed or the name is another table's now. On the connection's thread.</summary>
    public void Dispose()
    {
        if (_forgotten)
            return;
        _connection.DropView(this);
        Forget();
    }

    internal void Forget()
    {
        _forgotten = true;
        _registry.Remove(Id);
        Clear();
    }

    /// <summary>Handles on the present batches for one scan.</summary>
    internal ColumnBatch[] Snapshot()
    {
        lock (_lock)
        {
            var batches = new ColumnBatch[_batches.Length];
            for (var i = 0; i < batches.Length; i++)
                batches[i] = _batches[i].Retain();
            return batches;
        }
    }

    private void Exchange(ColumnBatch[] batches)
    {
        ColumnBatch[] old;
        lock (_lock)
            (old, _batches) = (_batches, batches);
        foreach (var batch in old)
            batch.Dispose();
    }

    private void Require(ColumnBatch batch)
    {
        if (ReferenceEquals(batch.Schema, Schema))
            return;
        if (batch.Schema.Count != Schema.Count)
            throw new ArgumentException($"a batch of {batch.Schema.Count} columns for the table {Name} of {Schema.Count}");
        for (var i = 0; i < Schema.Count; i++)
        {
            if (!batch.Schema[i].Type.Equals(Schema[i].Type))
            {
                throw new ArgumentException(
                    $"column '{Schema[i].Name}' of the table {Name} is {Schema[i].Type}, the batch has {batch.Schema[i].Type}");
            }
        }
    }
}
