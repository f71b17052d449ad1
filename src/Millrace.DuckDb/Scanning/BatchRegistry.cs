using System.Collections.Concurrent;

namespace Millrace.DuckDb.Scanning;

/// <summary>The batch tables of one database by number: SQL names a table by it. Thread-safe.</summary>
internal sealed class BatchRegistry
{
    private readonly ConcurrentDictionary<long, BatchTable> _tables = new();
    private long _last;

    public long Add(BatchTable table)
    {
        var id = Interlocked.Increment(ref _last);
        _tables[id] = table;
        return id;
    }

    public BatchTable? Find(long id) => _tables.GetValueOrDefault(id);

    public void Remove(long id) => _tables.TryRemove(id, out _);
}
