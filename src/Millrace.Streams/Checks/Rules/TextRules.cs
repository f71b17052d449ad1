using System.Buffers;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Rules;

/// <summary>Text inside (or, negated, outside) a range in the order of code points, which is the order of UTF-8 bytes. Null is no bound.</summary>
internal sealed class TextRangeRule(
    int index, CheckPlan plan, string name, int column, byte[]? lower, bool lowerOpen, byte[]? upper, bool upperOpen, bool negated)
    : ColumnRule(index, plan, name, column)
{
    protected override void Evaluate(Column values, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            var text = values.GetBytes(row);
            var inside = (lower is null || text.SequenceCompareTo(lower) is var low && (lowerOpen ? low > 0 : low >= 0))
                && (upper is null || text.SequenceCompareTo(upper) is var high && (upperOpen ? high < 0 : high <= 0));
            if (inside == negated)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }
}

/// <summary>Text among (or, negated, not among) a set; equality is a set of one.</summary>
internal sealed class TextSetRule : ColumnRule
{
    private readonly bool _negated;
    private readonly byte[][] _slots;

    // By length modulo 64: most texts of other lengths are decided by one bit.
    private readonly ulong _lengths;

    public TextSetRule(int index, CheckPlan plan, string name, int column, IEnumerable<string> set, bool negated)
        : base(index, plan, name, column)
    {
        _negated = negated;
        var texts = set.Distinct(StringComparer.Ordinal).Select(Encoding.UTF8.GetBytes).ToArray();
        _slots = new byte[BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, texts.Length * 2))][];
        foreach (var text in texts)
        {
            _lengths |= 1UL << (text.Length & 63);
            var slot = Slot(text);
            while (_slots[slot] is not null)
                slot = (slot + 1) & (_slots.Length - 1);
            _slots[slot] = text;
        }
    }

    protected override void Evaluate(Column values, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            if (Contains(values.GetBytes(row)) == _negated)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }

    private bool Contains(ReadOnlySpan<byte> text)
    {
        if ((_lengths & (1UL << (text.Length & 63))) == 0)
            return false;
        for (var slot = Slot(text); _slots[slot] is { } candidate; slot = (slot + 1) & (_slots.Length - 1))
        {
            if (text.SequenceEqual(candidate))
                return true;
        }
        return false;
    }

    private int Slot(ReadOnlySpan<byte> text)
    {
        var hash = (uint)text.Length;
        foreach (var b in text)
            hash = (hash ^ b) * 0x01000193;
        return (int)((hash ^ (hash >> 15)) & (uint)(_slots.Length - 1));
    }
}

/// <summary>Text in which the pattern finds (or, negated, does not find) a match. Time is linear in the text: the pattern cannot backtrack.</summary>
internal sealed class PatternRule(int index, MatchesCheck plan, string name, int column) : ColumnRule(index, plan, name, column)
{
    private readonly Regex _pattern = new(plan.Pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
    private readonly bool _negated = plan.Negated;
    private char[] _text = new char[256];

    protected override void Evaluate(Column values, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            var bytes = values.GetBytes(row);
            if (bytes.Length > _text.Length)
                _text = new char[BitOperations.RoundUpToPowerOf2((uint)bytes.Length)];
            var length = Encoding.UTF8.GetChars(bytes, _text);
            if (_pattern.IsMatch(_text.AsSpan(0, length)) == _negated)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }
}

/// <summary>Length of text in code points, bounds included.</summary>
internal sealed class LengthRule(int index, LengthCheck plan, string name, int column) : ColumnRule(index, plan, name, column)
{
    private readonly int _least = plan.Least;
    private readonly int _most = plan.Most;

    protected override void Evaluate(Column values, Span<ulong> failed)
    {
        for (var row = 0; row < values.Length; row++)
        {
            var length = CountCodePoints(values.GetBytes(row));
            if (length < _least || length > _most)
                failed[row >> 6] |= 1UL << (row & 63);
        }
    }

    /// <summary>Bytes that are no continuation (10xxxxxx), eight at a time.</summary>
    internal static int CountCodePoints(ReadOnlySpan<byte> text)
    {
        const ulong low = 0x0101010101010101;
        var continuations = 0;
        foreach (var word in MemoryMarshal.Cast<byte, ulong>(text))
            continuations += BitOperations.PopCount((word >> 7) & ~(word >> 6) & low);
        foreach (var b in text[(text.Length & ~7)..])
            continuations += (b & 0xC0) == 0x80 ? 1 : 0;
        return text.Length - continuations;
    }
}
