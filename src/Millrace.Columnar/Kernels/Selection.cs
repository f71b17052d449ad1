using System.Numerics;
using System.Runtime.CompilerServices;

namespace Millrace.Columnar.Kernels;

/// <summary>Selecting rows: by index, by bitmap, by range, and joining batches end to end.</summary>
public static unsafe class Selection
{
    /// <summary>A new batch of the given rows, in that order; a row may come more than once.</summary>
    public static ColumnBatch Take(this ColumnBatch batch, ReadOnlySpan<int> rows)
    {
        var columns = new Column[batch.Columns.Count];
        for (var i = 0; i < columns.Length; i++)
            columns[i] = batch.Columns[i].Take(rows);
        return new ColumnBatch(batch.Schema, rows.Length, columns);
    }

    /// <summary>A new batch of the rows whose bit is set. <paramref name="selected"/> holds at least one bit a row, least significant first.</summary>
    public static ColumnBatch Filter(this ColumnBatch batch, ReadOnlySpan<ulong> selected)
    {
        var rows = new int[CountSelected(selected, batch.RowCount)];
        if (rows.Length == batch.RowCount)
            return batch.Retain();
        Indexes(selected, batch.RowCount, rows);
        return batch.Take(rows);
    }

    /// <summary>Set bits among the first <paramref name="rowCount"/>.</summary>
    public static int CountSelected(ReadOnlySpan<ulong> selected, int rowCount)
    {
        var count = 0;
        for (var i = 0; i < rowCount >> 6; i++)
            count += BitOperations.PopCount(selected[i]);
        if ((rowCount & 63) != 0)
            count += BitOperations.PopCount(selected[rowCount >> 6] & ((1UL << (rowCount & 63)) - 1));
        return count;
    }

    /// <summary>Writes the indexes of the set bits among the first <paramref name="rowCount"/>; returns how many.</summary>
    public static int Indexes(ReadOnlySpan<ulong> selected, int rowCount, Span<int> indexes)
    {
        var count = 0;
        for (var i = 0; i << 6 < rowCount; i++)
        {
            var word = selected[i];
            if (rowCount - (i << 6) < 64)
                word &= (1UL << (rowCount - (i << 6))) - 1;
            for (; word != 0; word &= word - 1)
                indexes[count++] = (i << 6) + BitOperations.TrailingZeroCount(word);
        }
        return count;
    }

    /// <summary>Rows from <paramref name="start"/>, without copying.</summary>
    public static ColumnBatch Slice(this ColumnBatch batch, int start, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, batch.RowCount - start);
        var columns = new Column[batch.Columns.Count];
        for (var i = 0; i < columns.Length; i++)
            columns[i] = batch.Columns[i].Slice(start, length);
        return new ColumnBatch(batch.Schema, length, columns);
    }

    /// <summary>Rows from <paramref name="start"/>, without copying.</summary>
    public static Column Slice(this Column column, int start, int length)
    {
        var nulls = column.Type.Kind == TypeKind.Null ? length
            : column.Validity is null ? 0
            : length - Bitmaps.CountSet(column.Validity.Pointer, column.Offset + start, length);
        return new Column(
            column.Type, length, nulls, column.Validity?.Retain(), column.OffsetsBuffer?.Retain(), column.ValuesBuffer?.Retain(),
            column.Offset + start, RetainAll(column.Children));
    }

    /// <summary>A new column of the given rows; -1 gives null.</summary>
    public static Column Take(this Column column, ReadOnlySpan<int> rows)
    {
        if (column.Type.Kind == TypeKind.Null)
            return new Column(column.Type, rows.Length, rows.Length, null, null, null);
        var (validity, nulls) = TakeValidity(column, rows);
        switch (column.Type.Kind)
        {
            case TypeKind.Utf8 or TypeKind.Binary:
                return TakeVariable(column, rows, validity, nulls);
            case TypeKind.List or TypeKind.Map:
                return TakeList(column, rows, validity, nulls);
            case TypeKind.Struct:
                return TakeStruct(column, rows, validity, nulls);
            case TypeKind.Boolean:
                return new Column(column.Type, rows.Length, nulls, validity, null, TakeBits(column, rows));
        }
        var values = ColumnBuffer.Allocate((long)rows.Length * column.Type.Width);
        switch (column.Type.Width)
        {
            case 1: TakeValues<byte>(column, rows, values); break;
            case 2: TakeValues<ushort>(column, rows, values); break;
            case 4: TakeValues<uint>(column, rows, values); break;
            case 8: TakeValues<ulong>(column, rows, values); break;
            default: TakeValues<UInt128>(column, rows, values); break;
        }
        return new Column(column.Type, rows.Length, nulls, validity, null, values);
    }

    private static Column[] RetainAll(IReadOnlyList<Column> columns)
    {
        if (columns.Count == 0)
            return [];
        var retained = new Column[columns.Count];
        for (var i = 0; i < retained.Length; i++)
            retained[i] = columns[i].Retain();
        return retained;
    }

    private static (ColumnBuffer? Validity, int Nulls) TakeValidity(Column column, ReadOnlySpan<int> rows)
    {
        if (column.Validity is null && !rows.ContainsAnyInRange(int.MinValue, -1))
            return (null, 0);
        var validity = ColumnBuffer.Allocate((rows.Length + 7L) / 8, zeroed: true);
        var nulls = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            if (rows[i] >= 0 && !column.IsNull(rows[i]))
                Bitmaps.Set(validity.Pointer, i);
            else
                nulls++;
        }
        return (validity, nulls);
    }

    private static void TakeValues<T>(Column column, ReadOnlySpan<int> rows, ColumnBuffer target)
        where T : unmanaged
    {
        var from = column.Values<T>();
        var to = (T*)target.Pointer;
        for (var i = 0; i < rows.Length; i++)
            to[i] = rows[i] < 0 ? default : from[rows[i]];
    }

    private static ColumnBuffer TakeBits(Column column, ReadOnlySpan<int> rows)
    {
        var bits = ColumnBuffer.Allocate((rows.Length + 7L) / 8, zeroed: true);
        for (var i = 0; i < rows.Length; i++)
        {
            if (rows[i] >= 0 && column.GetBoolean(rows[i]))
                Bitmaps.Set(bits.Pointer, i);
        }
        return bits;
    }

    private static Column TakeVariable(Column column, ReadOnlySpan<int> rows, ColumnBuffer? validity, int nulls)
    {
        var offsets = ColumnBuffer.Allocate((rows.Length + 1L) * sizeof(int));
        var target = (int*)offsets.Pointer;
        target[0] = 0;
        var from = column.Offsets;
        long bytes = 0;
        for (var i = 0; i < rows.Length; i++)
        {
            // A null row's bytes are not kept, whatever its offsets say.
            if (rows[i] >= 0 && !column.IsNull(rows[i]))
                bytes += from[rows[i] + 1] - from[rows[i]];
            target[i + 1] = checked((int)bytes);
        }
        var values = ColumnBuffer.Allocate(bytes);
        for (var i = 0; i < rows.Length; i++)
        {
            var size = (uint)(target[i + 1] - target[i]);
            if (size != 0)
                Unsafe.CopyBlockUnaligned(values.Pointer + target[i], column.ValuesBuffer!.Pointer + from[rows[i]], size);
        }
        return new Column(column.Type, rows.Length, nulls, validity, offsets, values);
    }

    private static Column TakeList(Column column, ReadOnlySpan<int> rows, ColumnBuffer? validity, int nulls)
    {
        var offsets = ColumnBuffer.Allocate((rows.Length + 1L) * sizeof(int));
        var target = (int*)offsets.Pointer;
        target[0] = 0;
        var from = column.Offsets;
        var items = new List<int>();
        for (var i = 0; i < rows.Length; i++)
        {
            if (rows[i] >= 0 && !column.IsNull(rows[i]))
            {
                for (var item = from[rows[i]]; item < from[rows[i] + 1]; item++)
                    items.Add(item);
            }
            target[i + 1] = items.Count;
        }
        var child = column.Children[0].Take(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(items));
        return new Column(column.Type, rows.Length, nulls, validity, offsets, null, 0, [child]);
    }

    private static Column TakeStruct(Column column, ReadOnlySpan<int> rows, ColumnBuffer? validity, int nulls)
    {
        var shifted = new int[rows.Length];
        for (var i = 0; i < rows.Length; i++)
            shifted[i] = rows[i] < 0 ? -1 : rows[i] + column.Offset;
        var children = new Column[column.Children.Count];
        for (var i = 0; i < children.Length; i++)
            children[i] = column.Children[i].Take(shifted);
        return new Column(column.Type, rows.Length, nulls, validity, null, null, 0, children);
    }
}
