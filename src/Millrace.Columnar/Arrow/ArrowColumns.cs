using System.Numerics;
using System.Runtime.InteropServices;
using Millrace.Columnar.Kernels;

namespace Millrace.Columnar.Arrow;

/// <summary>Turns one imported array into a column, wrapping where the layout is ours.</summary>
internal static unsafe class ArrowColumns
{
    /// <param name="node">What the schema said.</param>
    /// <param name="array">One array of the owner's tree.</param>
    /// <param name="owner">Gets one reference for each wrapped buffer.</param>
    /// <param name="skip">Rows to skip on top of the array's own offset (an outer struct's).</param>
    /// <param name="length">Rows.</param>
    public static Column Import(ArrowNode node, ArrowArray* array, ImportedArray owner, long skip, int length)
    {
        if (array->Length < skip + length || array->Length < 0 || array->Offset < 0)
            throw new InvalidDataException($"Arrow array '{node.Name}' has {array->Length} rows where {skip + length} are needed");
        if (node.Type.Kind == TypeKind.Null && node.Layout == ArrowLayout.Same)
            return new Column(node.Type, length, length, null, null, null);
        var offset = checked((int)(array->Offset + skip));
        var rows = checked(offset + length);
        var validity = array->BufferCount > 0 && array->Buffers[0] != null
            ? Wrap(array->Buffers[0], (rows + 7L) / 8, owner)
            : null;
        var nullCount = CountNulls(validity, array, skip, offset, length);
        try
        {
            return node.Layout switch
            {
                ArrowLayout.Same => ImportSame(node, array, owner, offset, length, validity, nullCount),
                ArrowLayout.Dictionary => ImportDictionary(node, array, owner, offset, length, validity),
                ArrowLayout.LargeVariable or ArrowLayout.VariableView or ArrowLayout.FixedBinary =>
                    ImportVariable(node, array, offset, length, validity),
                ArrowLayout.LargeList or ArrowLayout.FixedList => ImportList(node, array, owner, offset, length, validity, nullCount),
                _ => new Column(node.Type, length, nullCount, validity, null, Convert(node, array->Buffers[1], rows), offset),
            };
        }
        catch
        {
            validity?.Dispose();
            throw;
        }
    }

    private static Column ImportSame(
        ArrowNode node, ArrowArray* array, ImportedArray owner, int offset, int length, ColumnBuffer? validity, int nullCount)
    {
        var rows = (long)offset + length;
        switch (node.Type.Kind)
        {
            case TypeKind.Utf8 or TypeKind.Binary:
                if (rows == 0 || array->Buffers[1] == null)
                {
                    RequireEmpty(node, length);
                    return Empty(node.Type, validity);
                }
                var end = ((int*)array->Buffers[1])[rows];
                return new Column(
                    node.Type, length, nullCount, validity, Wrap(array->Buffers[1], (rows + 1) * sizeof(int), owner),
                    Wrap(array->Buffers[2], end, owner), offset);
            case TypeKind.List or TypeKind.Map:
                var items = rows == 0 || array->Buffers[1] == null ? 0 : ((int*)array->Buffers[1])[rows];
                var offsets = items == 0 && array->Buffers[1] == null
                    ? ColumnBuffer.Allocate((rows + 1) * sizeof(int), zeroed: true)
                    : Wrap(array->Buffers[1], (rows + 1) * sizeof(int), owner);
                return new Column(
                    node.Type, length, nullCount, validity, offsets, null, offset, [Import(node.Children[0], array->Children[0], owner, 0, items)]);
            case TypeKind.Struct:
                // A column's children are not shifted by its offset, just as in Arrow.
                var children = new Column[node.Children.Count];
                for (var i = 0; i < children.Length; i++)
                    children[i] = Import(node.Children[i], array->Children[i], owner, 0, (int)rows);
                return new Column(node.Type, length, nullCount, validity, null, null, offset, children);
            case TypeKind.Boolean:
                return new Column(node.Type, length, nullCount, validity, null, Wrap(array->Buffers[1], (rows + 7) / 8, owner), offset);
            default:
                return new Column(
                    node.Type, length, nullCount, validity, null, Wrap(array->Buffers[1], rows * node.Type.Width, owner), offset);
        }
    }

    private static Column Empty(DataType type, ColumnBuffer? validity)
    {
        validity?.Dispose();
        return new Column(type, 0, 0, null, ColumnBuffer.Allocate(sizeof(int), zeroed: true), ColumnBuffer.Allocate(0));
    }

    private static void RequireEmpty(ArrowNode node, int length)
    {
        if (length != 0)
            throw new InvalidDataException($"Arrow array '{node.Name}' has {length} rows and no offsets");
    }

    // A null pointer (no bytes at all) gives memory of our own: ColumnBuffer frees its owner only with an address.
    private static ColumnBuffer Wrap(void* pointer, long bytes, ImportedArray owner) =>
        pointer == null ? ColumnBuffer.Allocate(bytes, zeroed: true) : ColumnBuffer.Wrap(pointer, bytes, owner.Retain());

    private static int CountNulls(ColumnBuffer? validity, ArrowArray* array, long skip, int offset, int length)
    {
        if (validity is null)
            return 0;
        if (array->NullCount >= 0 && skip == 0 && array->Length == length)
            return (int)array->NullCount;
        return length - Bitmaps.CountSet(validity.Pointer, offset, length);
    }

    private static Column ImportDictionary(
        ArrowNode node, ArrowArray* array, ImportedArray owner, int offset, int length, ColumnBuffer? validity)
    {
        var dictionary = array->Dictionary;
        using var values = Import(node.Values!, dictionary, owner, 0, checked((int)dictionary->Length));
        var indexes = new int[length];
        for (var i = 0; i < length; i++)
        {
            var row = offset + i;
            indexes[i] = validity is not null && !Bitmaps.Get(validity.Pointer, row) ? -1 : ReadIndex(array->Buffers[1], node.IndexKind, row);
        }
        validity?.Dispose();
        return values.Take(indexes);
    }

    private static int ReadIndex(void* indexes, TypeKind kind, int row) => kind switch
    {
        TypeKind.Int8 => ((sbyte*)indexes)[row],
        TypeKind.UInt8 => ((byte*)indexes)[row],
        TypeKind.Int16 => ((short*)indexes)[row],
        TypeKind.UInt16 => ((ushort*)indexes)[row],
        TypeKind.Int32 => ((int*)indexes)[row],
        TypeKind.UInt32 => checked((int)((uint*)indexes)[row]),
        TypeKind.Int64 => checked((int)((long*)indexes)[row]),
        TypeKind.UInt64 => checked((int)((ulong*)indexes)[row]),
        _ => throw new InvalidDataException($"a dictionary with {kind} indexes"),
    };

    private static Column ImportVariable(ArrowNode node, ArrowArray* array, int offset, int length, ColumnBuffer? validity)
    {
        using var builder = new ColumnBuilder(node.Type, length);
        for (var row = offset; row < offset + length; row++)
        {
            if (validity is not null && !Bitmaps.Get(validity.Pointer, row))
                builder.AppendNull();
            else
                builder.AppendBytes(ReadVariable(node, array, row));
        }
        validity?.Dispose();
        return builder.Build();
    }

    private static ReadOnlySpan<byte> ReadVariable(ArrowNode node, ArrowArray* array, int row)
    {
        if (node.Layout == ArrowLayout.FixedBinary)
            return new ReadOnlySpan<byte>((byte*)array->Buffers[1] + ((long)row * node.Width), node.Width);
        if (node.Layout == ArrowLayout.LargeVariable)
        {
            var offsets = (long*)array->Buffers[1] + row;
            return new ReadOnlySpan<byte>((byte*)array->Buffers[2] + offsets[0], checked((int)(offsets[1] - offsets[0])));
        }
        var view = (byte*)array->Buffers[1] + (row * 16L);
        var size = *(int*)view;
        return size <= 12
            ? new ReadOnlySpan<byte>(view + 4, size)
            : new ReadOnlySpan<byte>((byte*)array->Buffers[2 + *(int*)(view + 8)] + *(int*)(view + 12), size);
    }

    private static Column ImportList(
        ArrowNode node, ArrowArray* array, ImportedArray owner, int offset, int length, ColumnBuffer? validity, int nullCount)
    {
        var rows = offset + length;
        var offsets = ColumnBuffer.Allocate((rows + 1L) * sizeof(int));
        var target = (int*)offsets.Pointer;
        for (var row = 0; row <= rows; row++)
            target[row] = checked((int)(node.Layout == ArrowLayout.FixedList ? (long)row * node.Width : ((long*)array->Buffers[1])[row]));
        var child = Import(node.Children[0], array->Children[0], owner, 0, target[rows]);
        return new Column(node.Type, length, nullCount, validity, offsets, null, offset, [child]);
    }

    private static ColumnBuffer Convert(ArrowNode node, void* source, int rows)
    {
        var buffer = ColumnBuffer.Allocate((long)rows * node.Type.Width);
        var target = buffer.Pointer;
        for (var row = 0; row < rows; row++)
        {
            switch (node.Layout)
            {
                case ArrowLayout.Float16:
                    ((float*)target)[row] = (float)((Half*)source)[row];
                    break;
                case ArrowLayout.Decimal32:
                    ((Int128*)target)[row] = ((int*)source)[row];
                    break;
                case ArrowLayout.Decimal64:
                    ((Int128*)target)[row] = ((long*)source)[row];
                    break;
                case ArrowLayout.Date64:
                    ((int*)target)[row] = (int)FloorDivide(((long*)source)[row], 86_400_000);
                    break;
                case ArrowLayout.Time32:
                    ((long*)target)[row] = ((int*)source)[row] * node.Multiply;
                    break;
                case ArrowLayout.Scaled64:
                    ((long*)target)[row] = FloorDivide(unchecked(((long*)source)[row] * node.Multiply), node.Divide);
                    break;
                case ArrowLayout.IntervalMonths:
                    *(IntervalValue*)(target + (row * 16L)) = new IntervalValue(((int*)source)[row], 0, 0);
                    break;
                case ArrowLayout.IntervalDaysMillis:
                    var pair = (int*)source + (row * 2L);
                    *(IntervalValue*)(target + (row * 16L)) = new IntervalValue(0, pair[0], pair[1] * 1_000_000L);
                    break;
                default:
                    throw new InvalidOperationException($"{node.Layout} is not converted by value");
            }
        }
        return buffer;
    }

    private static long FloorDivide(long value, long divisor) =>
        divisor == 1 ? value : value >= 0 ? value / divisor : ((value + 1) / divisor) - 1;
}
