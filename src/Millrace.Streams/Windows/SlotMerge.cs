using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Windows;

/// <summary>Merges one value of a partial row into its accumulator slot.</summary>
internal static class SlotMerge
{
    /// <param name="column">The partial column; the row is not null.</param>
    /// <param name="slot">How and as what the column merges.</param>
    /// <param name="target">The slot's bytes.</param>
    /// <param name="first">The slot is empty yet.</param>
    /// <exception cref="OverflowException">A sum passed its type.</exception>
    public static void Apply(Column column, int row, ValueSlot slot, Span<byte> target, bool first)
    {
        switch (slot.Type.Kind)
        {
            case TypeKind.Boolean:
                var value = column.GetBoolean(row);
                var held = !first && target[0] != 0;
                target[0] = (first ? value : slot.Merge == Merge.And ? held && value : held || value) ? (byte)1 : (byte)0;
                break;
            case TypeKind.Int8:
                Ordered<sbyte>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.UInt8:
                Ordered<byte>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Int16:
                Ordered<short>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.UInt16:
                Ordered<ushort>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Int32 or TypeKind.Date32:
                Ordered<int>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.UInt32:
                Ordered<uint>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Int64 or TypeKind.Time64 or TypeKind.Timestamp or TypeKind.TimestampTz:
                Ordered<long>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.UInt64:
                Ordered<ulong>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Decimal128:
                Ordered<Int128>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Float32:
                Floating<float>(column, row, slot.Merge, target, first);
                break;
            case TypeKind.Float64:
                Floating<double>(column, row, slot.Merge, target, first);
                break;
            default:
                throw new InvalidOperationException($"{slot.Type} has no slot");
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Ordered<T>(Column column, int row, Merge merge, Span<byte> target, bool first)
        where T : unmanaged, INumber<T>
    {
        var value = column.Values<T>()[row];
        ref var held = ref MemoryMarshal.AsRef<T>(target);
        if (first)
            held = value;
        else if (merge == Merge.Sum)
            held = checked(held + value);
        else if (merge == Merge.Min ? value < held : value > held)
            held = value;
    }

    // DuckDB orders NaN above all numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Floating<T>(Column column, int row, Merge merge, Span<byte> target, bool first)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        var value = column.Values<T>()[row];
        ref var held = ref MemoryMarshal.AsRef<T>(target);
        if (first)
            held = value;
        else if (merge == Merge.Sum)
            held += value;
        else if (merge == Merge.Min ? value < held || (T.IsNaN(held) && !T.IsNaN(value)) : value > held || T.IsNaN(value))
            held = value;
    }
}
