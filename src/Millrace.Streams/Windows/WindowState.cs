using System.Buffers;
using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Windows;

/// <summary>
/// The open windows of one windowed query: partial rows are merged into them by key, closed windows are taken out whole. Knows
/// nothing of disks; a checkpoint walks what changed. Not thread-safe.
/// </summary>
internal sealed class WindowState(PartialLayout layout, TimeSpan size)
{
    private readonly SortedDictionary<long, GroupTable> _windows = [];
    private readonly List<long> _closed = [];
    private readonly ArrayBufferWriter<byte> _key = new(256);
    private readonly long _sizeMicros = size.Ticks / TimeSpan.TicksPerMicrosecond;
    private GroupTable[] _tables = [];
    private int[] _entries = [];

    public PartialLayout Layout => layout;

    public long SizeMicros => _sizeMicros;

    /// <summary>Windows that end at or before this event time are closed for ever.</summary>
    public long ClosedUpTo { get; private set; } = long.MinValue;

    public int OpenWindows => _windows.Count;

    /// <summary>Rows that came too late for this query's windows, since the pipeline's first start.</summary>
    public long LateRows { get; set; }

    /// <summary>The start of the window that holds an event time: windows are aligned to the epoch.</summary>
    public long StartOf(long micros) => micros - ((micros % _sizeMicros) + _sizeMicros) % _sizeMicros;

    /// <summary>Groups over all open windows.</summary>
    public long Groups => _windows.Values.Sum(w => (long)w.Count);

    /// <summary>Bytes that all tables hold.</summary>
    public long ByteLength => _windows.Values.Sum(w => w.ByteLength);

    /// <summary>Grows by each change: what was computed from the state at one version holds until the next.</summary>
    public long Version { get; private set; }

    /// <summary>Open windows by start, with their groups.</summary>
    public IEnumerable<KeyValuePair<long, GroupTable>> Windows => _windows;

    /// <summary>Closed windows whose rows a checkpoint may have stored: their starts, to be deleted by the next one.</summary>
    public IReadOnlyList<long> ClosedSinceCheckpoint => _closed;

    /// <summary>
    /// Merges partial rows. Rows of windows that are closed, or that have no window (a null start), are left out and counted.
    /// </summary>
    /// <returns>Rows left out.</returns>
    /// <exception cref="OverflowException">A sum passed its type; the message names the column.</exception>
    public int Merge(ColumnBatch partials)
    {
        var rows = partials.RowCount;
        if (rows == 0)
            return 0;
        if (_entries.Length < rows)
        {
            _entries = new int[Math.Max(rows, _entries.Length * 2)];
            _tables = new GroupTable[_entries.Length];
        }
        var late = FindEntries(partials);
        foreach (var slot in layout.Values)
            MergeColumn(partials[slot.Column], slot, rows);
        Array.Clear(_tables, 0, rows);
        Version++;
        return late;
    }

    /// <summary>A window, held or not, ends behind <see cref="ClosedUpTo"/> and not behind <paramref name="watermark"/>.</summary>
    public bool PassesAnEnd(long watermark) => ClosedUpTo == long.MinValue || StartOf(watermark) > ClosedUpTo;

    /// <summary>Takes out the windows that end at or before <paramref name="watermark"/>, oldest first.</summary>
    public IReadOnlyList<ClosedWindow> Close(long watermark)
    {
        if (watermark <= ClosedUpTo)
            return [];
        ClosedUpTo = watermark;
        var closed = new List<ClosedWindow>();
        while (_windows.Count > 0 && _windows.First() is var (start, table) && start + _sizeMicros <= watermark)
        {
            closed.Add(new ClosedWindow(start, ToBatch([new(start, table)])));
            _windows.Remove(start);
            if (table.Persisted)
                _closed.Add(start);
        }
        if (closed.Count > 0)
            Version++;
        return closed;
    }

    /// <summary>All rows of all open windows.</summary>
    public ColumnBatch ToBatch() => ToBatch(_windows);

    /// <summary>Puts back a row from the store.</summary>
    public void Restore(long windowStart, ReadOnlySpan<byte> key, ReadOnlySpan<byte> row) => TableOf(windowStart).Restore(key, row);

    public void RestoreClosedUpTo(long closedUpTo) => ClosedUpTo = closedUpTo;

    /// <summary>A checkpoint has taken over what changed.</summary>
    public void ClearChanged()
    {
        foreach (var table in _windows.Values)
        {
            if (table.ChangedCount == 0)
                continue;
            table.ClearChanged();
            table.Persisted = true;
        }
        _closed.Clear();
    }

    private GroupTable TableOf(long windowStart)
    {
        if (!_windows.TryGetValue(windowStart, out var table))
            _windows.Add(windowStart, table = new GroupTable(layout));
        return table;
    }

    private int FindEntries(ColumnBatch partials)
    {
        var starts = partials[layout.WindowStartColumn];
        var values = starts.Values<long>();
        var late = 0;
        GroupTable? table = null;
        var tableStart = long.MinValue;
        for (var row = 0; row < partials.RowCount; row++)
        {
            if (starts.IsNull(row) || values[row] + _sizeMicros <= ClosedUpTo)
            {
                _entries[row] = -1;
                late++;
                continue;
            }
            if (table is null || values[row] != tableStart)
            {
                tableStart = values[row];
                table = TableOf(tableStart);
            }
            _key.ResetWrittenCount();
            foreach (var column in layout.KeyColumns)
                GroupKey.Write(_key, partials[column], row);
            var entry = table.FindOrAdd(_key.WrittenSpan);
            table.MarkChanged(entry);
            _entries[row] = entry;
            _tables[row] = table;
        }
        return late;
    }

    private void MergeColumn(Column column, ValueSlot slot, int rows)
    {
        for (var row = 0; row < rows; row++)
        {
            if (_entries[row] < 0 || column.IsNull(row))
                continue;
            var table = _tables[row];
            if (slot.Variable >= 0)
            {
                MergeVariable(ref table.VariableOf(_entries[row], slot.Variable), column.GetBytes(row), slot.Merge);
                continue;
            }
            var target = table.RowOf(_entries[row]);
            ref var present = ref target[slot.Bit >> 3];
            var mask = (byte)(1 << (slot.Bit & 7));
            var first = (present & mask) == 0;
            present |= mask;
            try
            {
                SlotMerge.Apply(column, row, slot, target[slot.Offset..], first);
            }
            catch (OverflowException error)
            {
                throw new OverflowException(
                    $"the sum '{layout.Schema[slot.Column].Name}' passed the range of {slot.Type}; cast its argument to DOUBLE or DECIMAL(38,s)", error);
            }
        }
    }

    private static void MergeVariable(ref byte[]? held, ReadOnlySpan<byte> value, Merge merge)
    {
        // UTF-8 in byte order is code point order, which is how DuckDB compares text without a collation.
        var better = held is null || (merge == Plans.Merge.Min ? value.SequenceCompareTo(held) < 0 : value.SequenceCompareTo(held) > 0);
        if (better)
            held = value.ToArray();
    }

    private ColumnBatch ToBatch(IEnumerable<KeyValuePair<long, GroupTable>> windows)
    {
        var all = windows as IReadOnlyCollection<KeyValuePair<long, GroupTable>> ?? windows.ToArray();
        var rows = all.Sum(w => w.Value.Count);
        var builders = layout.Columns.Select(c => new ColumnBuilder(c.Field.Type, rows)).ToArray();
        try
        {
            foreach (var (start, table) in all)
            {
                for (var entry = 0; entry < table.Count; entry++)
                {
                    builders[layout.WindowStartColumn].Append(start);
                    GroupKey.Read(table.KeyOf(entry), layout, builders);
                    foreach (var slot in layout.Values)
                        AppendValue(builders[slot.Column], table, entry, slot);
                }
            }
            return new ColumnBatch(layout.Schema, rows, builders.Select(b => b.Build()).ToArray());
        }
        finally
        {
            foreach (var builder in builders)
                builder.Dispose();
        }
    }

    private static void AppendValue(ColumnBuilder builder, GroupTable table, int entry, ValueSlot slot)
    {
        if (slot.Variable >= 0)
        {
            if (table.VariableOf(entry, slot.Variable) is { } value)
                builder.AppendBytes(value);
            else
                builder.AppendNull();
            return;
        }
        var row = table.RowOf(entry);
        if ((row[slot.Bit >> 3] & (1 << (slot.Bit & 7))) == 0)
            builder.AppendNull();
        else
            GroupKey.AppendFixed(builder, row.Slice(slot.Offset, slot.Type.Width > 8 ? 16 : 8));
    }
}

/// <summary>A window that is complete: its start in microseconds and its merged rows, which the taker disposes of.</summary>
internal readonly record struct ClosedWindow(long Start, ColumnBatch Rows);
