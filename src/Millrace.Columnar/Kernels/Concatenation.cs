namespace Millrace.Columnar.Kernels;

/// <summary>Batches and columns joined end to end.</summary>
public static unsafe class Concatenation
{
    /// <summary>One batch of all rows in order; for one batch, another handle on it without copying.</summary>
    /// <exception cref="ArgumentException">A batch's column types differ from the schema's.</exception>
    public static ColumnBatch Concat(Schema schema, IReadOnlyList<ColumnBatch> batches)
    {
        if (batches.Count == 1)
            return batches[0].Retain();
        var parts = new Column[batches.Count];
        var columns = new Column[schema.Count];
        var rows = 0;
        foreach (var batch in batches)
            rows = checked(rows + batch.RowCount);
        for (var i = 0; i < columns.Length; i++)
        {
            for (var b = 0; b < parts.Length; b++)
                parts[b] = batches[b].Columns[i];
            columns[i] = Concat(schema[i].Type, parts);
        }
        return new ColumnBatch(schema, rows, columns);
    }

    /// <summary>One column of all rows in order, copied.</summary>
    /// <exception cref="ArgumentException">A part has another type.</exception>
    public static Column Concat(DataType type, ReadOnlySpan<Column> parts)
    {
        var rows = 0;
        var nulls = 0;
        foreach (var part in parts)
        {
            if (part.Type.Kind != type.Kind || part.Type.Scale != type.Scale)
                throw new ArgumentException($"a column of {part.Type} joined to one of {type}");
            rows = checked(rows + part.Length);
            nulls += part.NullCount;
        }
        if (type.Kind == TypeKind.Null)
            return new Column(type, rows, rows, null, null, null);
        var validity = nulls == 0 ? null : JoinBits(parts, rows, values: false);
        switch (type.Kind)
        {
            case TypeKind.Boolean:
                return new Column(type, rows, nulls, validity, null, JoinBits(parts, rows, values: true));
            case TypeKind.Utf8 or TypeKind.Binary:
                var (offsets, bytes) = JoinOffsets(parts, rows);
                return new Column(type, rows, nulls, validity, offsets, JoinBytes(parts, bytes));
            case TypeKind.List or TypeKind.Map:
                return new Column(type, rows, nulls, validity, JoinOffsets(parts, rows).Offsets, null, 0, [JoinItems(type, parts)]);
            case TypeKind.Struct:
                return new Column(type, rows, nulls, validity, null, null, 0, JoinFields(type, parts));
        }
        var values = ColumnBuffer.Allocate((long)rows * type.Width);
        var target = values.Pointer;
        foreach (var part in parts)
        {
            var size = (long)part.Length * type.Width;
            if (size != 0)
                Buffer.MemoryCopy(part.ValuesBuffer!.Pointer + ((long)part.Offset * type.Width), target, size, size);
            target += size;
        }
        return new Column(type, rows, nulls, validity, null, values);
    }

    private static ColumnBuffer JoinBits(ReadOnlySpan<Column> parts, int rows, bool values)
    {
        // One word of room behind the last, for whole words are written.
        var joined = ColumnBuffer.Allocate(((rows + 63L) / 64 * 8) + 8, zeroed: true);
        var target = (ulong*)joined.Pointer;
        long at = 0;
        foreach (var part in parts)
        {
            var buffer = values ? part.ValuesBuffer : part.Validity;
            long end = (long)part.Offset + part.Length;
            for (long from = part.Offset; from < end; from += 64)
            {
                var count = Math.Min(64, end - from);
                var word = buffer is not null ? Bitmaps.Word(buffer.Pointer, from, end) : count == 64 ? ulong.MaxValue : (1UL << (int)count) - 1;
                var shift = (int)(at & 63);
                target[at >> 6] |= word << shift;
                if (shift != 0)
                    target[(at >> 6) + 1] |= word >> (64 - shift);
                at += count;
            }
        }
        return joined;
    }

    private static (ColumnBuffer Offsets, int Bytes) JoinOffsets(ReadOnlySpan<Column> parts, int rows)
    {
        var joined = ColumnBuffer.Allocate((rows + 1L) * sizeof(int));
        var target = (int*)joined.Pointer;
        target[0] = 0;
        var at = 0;
        foreach (var part in parts)
        {
            var offsets = part.Offsets;
            var shift = target[at] - offsets[0];
            for (var row = 0; row < part.Length; row++)
                target[at + row + 1] = checked(offsets[row + 1] + shift);
            at += part.Length;
        }
        return (joined, target[rows]);
    }

    private static ColumnBuffer JoinBytes(ReadOnlySpan<Column> parts, int bytes)
    {
        var joined = ColumnBuffer.Allocate(bytes);
        var target = joined.Pointer;
        foreach (var part in parts)
        {
            var offsets = part.Offsets;
            var size = offsets[^1] - offsets[0];
            if (size != 0)
                Buffer.MemoryCopy(part.ValuesBuffer!.Pointer + offsets[0], target, size, size);
            target += size;
        }
        return joined;
    }

    private static Column JoinItems(DataType type, ReadOnlySpan<Column> parts)
    {
        var items = new Column[parts.Length];
        for (var i = 0; i < items.Length; i++)
        {
            var offsets = parts[i].Offsets;
            items[i] = parts[i].Children[0].Slice(offsets[0], offsets[^1] - offsets[0]);
        }
        return JoinAndDispose(type.Children![0].Type, items);
    }

    private static Column[] JoinFields(DataType type, ReadOnlySpan<Column> parts)
    {
        var fields = new Column[type.Children!.Count];
        var slices = new Column[parts.Length];
        for (var f = 0; f < fields.Length; f++)
        {
            for (var i = 0; i < slices.Length; i++)
                slices[i] = parts[i].Children[f].Slice(parts[i].Offset, parts[i].Length);
            fields[f] = JoinAndDispose(type.Children[f].Type, slices);
        }
        return fields;
    }

    private static Column JoinAndDispose(DataType type, Column[] parts)
    {
        try
        {
            return Concat(type, parts);
        }
        finally
        {
            foreach (var part in parts)
                part.Dispose();
        }
    }
}
