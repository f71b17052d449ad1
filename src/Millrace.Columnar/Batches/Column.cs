using System.Runtime.CompilerServices;

namespace Millrace.Columnar;

/// <summary>
/// An immutable column in Arrow layout: an optional validity bitmap (bit set = value present, least significant bit first),
/// 32-bit offsets for variable and list kinds, and values. The logical rows start at row <see cref="Offset"/> of the buffers.
/// </summary>
/// <remarks>Owns one reference to each buffer and child; <see cref="Retain"/> gives another handle that is disposed of on its own.</remarks>
public sealed unsafe class Column : IDisposable
{
    public Column(
        DataType type, int length, int nullCount, ColumnBuffer? validity, ColumnBuffer? offsets, ColumnBuffer? values,
        int offset = 0, IReadOnlyList<Column>? children = null)
    {
        Type = type;
        Length = length;
        NullCount = nullCount;
        Validity = nullCount == 0 ? null : validity;
        if (nullCount == 0)
            validity?.Dispose();
        OffsetsBuffer = offsets;
        ValuesBuffer = values;
        Offset = offset;
        Children = children ?? [];
    }

    public DataType Type { get; }

    /// <summary>Rows.</summary>
    public int Length { get; }

    /// <summary>Rows that are null; 0 when <see cref="Validity"/> is null.</summary>
    public int NullCount { get; }

    /// <summary>Rows to skip at the start of each buffer.</summary>
    public int Offset { get; }

    public ColumnBuffer? Validity { get; }

    public ColumnBuffer? OffsetsBuffer { get; }

    public ColumnBuffer? ValuesBuffer { get; }

    /// <summary>List: its elements; struct: its fields; map: one struct of key and value. Not shifted by <see cref="Offset"/>.</summary>
    public IReadOnlyList<Column> Children { get; }

    /// <summary>The fixed-width values of all rows; those of null rows are undefined.</summary>
    public ReadOnlySpan<T> Values<T>()
        where T : unmanaged
        => Length == 0 ? [] : new ReadOnlySpan<T>((T*)ValuesBuffer!.Pointer + Offset, Length);

    /// <summary>Length + 1 offsets into the values (variable kinds) or the child (lists).</summary>
    public ReadOnlySpan<int> Offsets => Length == 0 ? [0] : new ReadOnlySpan<int>((int*)OffsetsBuffer!.Pointer + Offset, Length + 1);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool IsNull(int row)
    {
        if (Validity is null)
            return Type.Kind == TypeKind.Null;
        var bit = row + Offset;
        return (Validity.Pointer[bit >> 3] & (1 << (bit & 7))) == 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool GetBoolean(int row)
    {
        var bit = row + Offset;
        return (ValuesBuffer!.Pointer[bit >> 3] & (1 << (bit & 7))) != 0;
    }

    /// <summary>The bytes of a UTF-8 or binary row; empty for null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ReadOnlySpan<byte> GetBytes(int row)
    {
        var offsets = (int*)OffsetsBuffer!.Pointer + Offset + row;
        return new ReadOnlySpan<byte>(ValuesBuffer!.Pointer + offsets[0], offsets[1] - offsets[0]);
    }

    /// <summary>Another handle on the same buffers.</summary>
    public Column Retain() => new(
        Type, Length, NullCount, Validity?.Retain(), OffsetsBuffer?.Retain(), ValuesBuffer?.Retain(), Offset,
        Children.Count == 0 ? [] : Children.Select(c => c.Retain()).ToArray());

    public void Dispose()
    {
        Validity?.Dispose();
        OffsetsBuffer?.Dispose();
        ValuesBuffer?.Dispose();
        foreach (var child in Children)
            child.Dispose();
    }
}
