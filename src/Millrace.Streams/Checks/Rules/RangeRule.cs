using System.Numerics;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Rules;

/// <summary>
/// Values inside (or, negated, outside) a closed range. Every comparison of a number or time becomes one: <c>a &lt; 5</c> on whole
/// numbers is [least, 4], on doubles [-infinity, the double before 5]. An empty range holds nothing.
/// </summary>
internal sealed class RangeRule<T>(int index, CheckPlan plan, string name, int column, T lower, T upper, bool negated)
    : ColumnRule(index, plan, name, column)
    where T : unmanaged, INumber<T>
{
    protected override void Evaluate(Column values, Span<ulong> failed) => Fail(values.Values<T>(), lower, upper, negated, failed);

    /// <summary>Sets the bits of the values outside the range (inside, when negated). A NaN is in no range.</summary>
    internal static void Fail(ReadOnlySpan<T> values, T lower, T upper, bool negated, Span<ulong> failed)
    {
        if (!Vector256<T>.IsSupported || !Vector256.IsHardwareAccelerated)
        {
            FailScalar(values, lower, upper, negated, failed);
            return;
        }
        var low = Vector256.Create(lower);
        var high = Vector256.Create(upper);
        var lanes = Vector256<T>.Count;
        var flip = negated ? 0 : ulong.MaxValue;
        ref var first = ref MemoryMarshal.GetReference(values);
        var whole = values.Length >> 6;
        for (var word = 0; word < whole; word++)
        {
            ulong inside = 0;
            for (var lane = 0; lane < 64; lane += lanes)
            {
                var vector = Vector256.LoadUnsafe(ref first, (nuint)((word << 6) + lane));
                var mask = Vector256.GreaterThanOrEqual(vector, low) & Vector256.LessThanOrEqual(vector, high);
                inside |= (ulong)mask.ExtractMostSignificantBits() << lane;
            }
            failed[word] |= inside ^ flip;
        }
        if ((values.Length & 63) != 0)
            FailScalar(values[(whole << 6)..], lower, upper, negated, failed[whole..]);
    }

    /// <summary>The twin of <see cref="Fail"/>.</summary>
    internal static void FailScalar(ReadOnlySpan<T> values, T lower, T upper, bool negated, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            var inside = values[row] >= lower && values[row] <= upper;
            if (inside == negated)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }
}

/// <summary>As <see cref="RangeRule{T}"/>, for 128-bit decimals.</summary>
internal sealed class DecimalRangeRule(int index, CheckPlan plan, string name, int column, Int128 lower, Int128 upper, bool negated)
    : ColumnRule(index, plan, name, column)
{
    protected override void Evaluate(Column values, Span<ulong> failed) =>
        RangeRule<Int128>.FailScalar(values.Values<Int128>(), lower, upper, negated, failed);
}

/// <summary>Values among a few (or, negated, not among them).</summary>
internal sealed class NumberSetRule<T>(int index, CheckPlan plan, string name, int column, T[] set, bool negated)
    : ColumnRule(index, plan, name, column)
    where T : unmanaged, INumber<T>
{
    // More than these are looked up in a hash set instead of compared each.
    private const int FewValues = 16;

    private readonly HashSet<T>? _large = set.Length > FewValues ? [.. set] : null;

    protected override void Evaluate(Column values, Span<ulong> failed) => Fail(values.Values<T>(), set, _large, negated, failed);

    internal static void Fail(ReadOnlySpan<T> values, ReadOnlySpan<T> set, HashSet<T>? large, bool negated, Span<ulong> failed)
    {
        var done = 0;
        if (large is null && Vector256<T>.IsSupported && Vector256.IsHardwareAccelerated)
        {
            ref var first = ref MemoryMarshal.GetReference(values);
            var flip = negated ? 0 : ulong.MaxValue;
            for (var word = 0; word < values.Length >> 6; word++)
            {
                ulong inside = 0;
                for (var lane = 0; lane < 64; lane += Vector256<T>.Count)
                {
                    var vector = Vector256.LoadUnsafe(ref first, (nuint)((word << 6) + lane));
                    var mask = Vector256<T>.Zero;
                    foreach (var value in set)
                        mask |= Vector256.Equals(vector, Vector256.Create(value));
                    inside |= (ulong)mask.ExtractMostSignificantBits() << lane;
                }
                failed[word] |= inside ^ flip;
            }
            done = values.Length & ~63;
        }
        FailScalar(values[done..], set, large, negated, failed[(done >> 6)..]);
    }

    /// <summary>The twin of <see cref="Fail"/>.</summary>
    internal static void FailScalar(ReadOnlySpan<T> values, ReadOnlySpan<T> set, HashSet<T>? large, bool negated, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            var inside = large?.Contains(values[row]) ?? Contains(set, values[row]);
            if (inside == negated)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }

    private static bool Contains(ReadOnlySpan<T> set, T value)
    {
        foreach (var candidate in set)
        {
            if (candidate == value)
                return true;
        }
        return false;
    }
}

/// <summary>A boolean column that is to be (or, negated, not to be) the value.</summary>
internal sealed class BooleanRule(int index, CheckPlan plan, string name, int column, bool takesTrue, bool takesFalse)
    : ColumnRule(index, plan, name, column)
{
    protected override unsafe void Evaluate(Column values, Span<ulong> failed)
    {
        long end = (long)values.Offset + values.Length;
        for (var word = 0; word < failed.Length; word++)
        {
            var rows = values.Length - (word * 64);
            var all = rows >= 64 ? ulong.MaxValue : (1UL << rows) - 1;
            var bits = Columnar.Kernels.Bitmaps.Word(values.ValuesBuffer!.Pointer, values.Offset + (word * 64L), end);
            failed[word] |= (takesTrue ? 0 : bits) | (takesFalse ? 0 : all & ~bits);
        }
    }
}
