using System.Numerics;
using Millrace.Columnar;
using Millrace.Columnar.Kernels;

namespace Millrace.Streams.Checks;

/// <summary>Which rows of one batch broke which rules. Reasons are made on demand, so good rows cost nothing.</summary>
public sealed class CheckResult
{
    private const int MostValueCharacters = 64;

    private readonly RowChecker _checker;
    private readonly ColumnBatch _batch;
    private readonly ulong[] _bad;
    private readonly ulong[][] _failures;

    internal CheckResult(RowChecker checker, ColumnBatch batch, ulong[] bad, ulong[][] failures)
    {
        _checker = checker;
        _batch = batch;
        _bad = bad;
        _failures = failures;
        BadCount = Selection.CountSelected(bad, batch.RowCount);
    }

    /// <summary>A set bit for each bad row, least significant first.</summary>
    public ReadOnlySpan<ulong> Bad => _bad;

    public int BadCount { get; }

    /// <summary>How many rows broke a rule, by its index in <see cref="RowChecker.Plans"/>.</summary>
    public int FailureCount(int rule) => Selection.CountSelected(_failures[rule], _batch.RowCount);

    /// <summary>True when the row broke the rule.</summary>
    public bool Failed(int rule, int row) => (_failures[rule][row >> 6] & (1UL << (row & 63))) != 0;

    /// <summary>The good rows as a batch that the caller owns (another handle on the same rows when all are good).</summary>
    public ColumnBatch TakeGood()
    {
        if (BadCount == 0)
            return _batch.Retain();
        var good = new ulong[_bad.Length];
        for (var i = 0; i < good.Length; i++)
            good[i] = ~_bad[i];
        return _batch.Filter(good);
    }

    /// <summary>Indexes of the bad rows, ascending.</summary>
    public int[] BadRows()
    {
        var rows = new int[BadCount];
        Selection.Indexes(_bad, _batch.RowCount, rows);
        return rows;
    }

    /// <summary>Every reason for one bad row: the rule as written, the column, and the value cut to 64 characters.</summary>
    public IReadOnlyList<string> Reasons(int row)
    {
        var reasons = new List<string>();
        for (var rule = 0; rule < _failures.Length; rule++)
        {
            if (Failed(rule, row))
                reasons.Add(_checker.Render(rule, _batch, row));
        }
        return reasons;
    }

    /// <summary>The rule's text, the column and the row's value in it.</summary>
    internal static string Reason(string rule, string name, Column column, int row)
    {
        var value = ColumnText.Format(column, row);
        if (value is { Length: > MostValueCharacters })
            value = value[..(char.IsHighSurrogate(value[MostValueCharacters - 1]) ? MostValueCharacters - 1 : MostValueCharacters)] + "...";
        return value is null ? $"{rule}: {name} is null"
            : column.Type.Kind == TypeKind.Utf8 ? $"{rule}: {name} = '{value}'"
            : $"{rule}: {name} = {value}";
    }
}
