using Millrace.Columnar;
using Millrace.Streams.Checks.Rules;
using Millrace.Streams.Checks.Unique;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks;

/// <summary>
/// The firewall in front of a source: its checks compiled against the source's columns. Stateless rules run as vectorised kernels over
/// whole columns; unique rules look at one row after another, in order of arrival.
/// </summary>
/// <remarks>Not thread-safe: a source's rows pass one checker in one order. The stores of unique rules belong to the checker.</remarks>
public sealed class RowChecker
{
    private readonly RowRule[] _rules;
    private readonly UniqueRule[] _unique;

    private RowChecker(RowRule[] rules, UniqueRule[] unique, IReadOnlyList<CheckPlan> plans)
    {
        _rules = rules;
        _unique = unique;
        Plans = plans;
        UniqueStores = unique.Select(u => u.Store).ToArray();
    }

    /// <summary>The checks in the order of their indexes in results.</summary>
    public IReadOnlyList<CheckPlan> Plans { get; }

    /// <summary>What unique rules remember, in the order of their rules: to be checkpointed and reloaded.</summary>
    public IReadOnlyList<UniqueStore> UniqueStores { get; }

    /// <summary>Compiles the checks.</summary>
    /// <param name="checks">Whose columns are in the schema and whose literals fit.</param>
    /// <param name="schema">The columns of every batch to come.</param>
    /// <param name="options">Bounds of unique rules.</param>
    /// <exception cref="ArgumentException">A check does not fit the schema; the message says which and why.</exception>
    public static RowChecker Compile(IReadOnlyList<CheckPlan> checks, Schema schema, UniqueOptions? options = null)
    {
        var rules = new List<RowRule>();
        var unique = new List<UniqueRule>();
        for (var i = 0; i < checks.Count; i++)
        {
            if (checks[i] is UniqueCheck check)
                unique.Add(new UniqueRule(i, check, schema, options ?? new UniqueOptions()));
            else
                rules.Add(RuleCompiler.Compile(i, checks[i], schema));
        }
        return new RowChecker(rules.ToArray(), unique.ToArray(), checks);
    }

    /// <summary>
    /// Tells which rows break which rules. Rows that break none are remembered by the unique rules; a bad row is not, so that its corrected
    /// twin may still come.
    /// </summary>
    /// <param name="batch">Rows in order of arrival. The result renders values from it and must not outlive it.</param>
    /// <param name="eventTimes">Microseconds of each row; may be empty when there is no unique rule.</param>
    /// <param name="refused">
    /// Rows that are bad already for another reason (no event time, say): a bit a row, or empty. Unique rules pass them over.
    /// </param>
    /// <exception cref="ArgumentException">A unique rule has no event times.</exception>
    public CheckResult Check(ColumnBatch batch, ReadOnlySpan<long> eventTimes = default, ReadOnlySpan<ulong> refused = default)
    {
        if (_unique.Length > 0 && eventTimes.Length < batch.RowCount)
        {
            throw new ArgumentException(
                $"'{_unique[0].Plan.Text}' needs an event time for each of {batch.RowCount} rows, and {eventTimes.Length} are given");
        }
        var words = (batch.RowCount + 63) / 64;
        var failures = new ulong[Plans.Count][];
        var bad = new ulong[words];
        foreach (var rule in _rules)
        {
            var failed = new ulong[words];
            rule.Evaluate(batch, failed);
            failures[rule.Index] = failed;
            for (var i = 0; i < words; i++)
                bad[i] |= failed[i];
        }
        if (_unique.Length > 0)
            CheckUnique(batch, bad, failures, eventTimes, refused);
        return new CheckResult(this, batch, bad, failures);
    }

    /// <summary>Lets unique rules forget what no row at or after the watermark can meet.</summary>
    public void Advance(long watermarkMicros)
    {
        foreach (var store in UniqueStores)
            store.Advance(watermarkMicros);
    }

    internal string Render(int rule, ColumnBatch batch, int row)
    {
        foreach (var candidate in _rules)
        {
            if (candidate.Index == rule)
                return candidate.Render(batch, row);
        }
        return Array.Find(_unique, u => u.Index == rule)!.Render(batch, row);
    }

    private void CheckUnique(ColumnBatch batch, ulong[] bad, ulong[][] failures, ReadOnlySpan<long> times, ReadOnlySpan<ulong> refused)
    {
        foreach (var rule in _unique)
        {
            failures[rule.Index] = new ulong[bad.Length];
            rule.Begin(batch);
        }
        for (var row = 0; row < batch.RowCount; row++)
        {
            if (!refused.IsEmpty && (refused[row >> 6] & (1UL << (row & 63))) != 0)
                continue;
            ref var word = ref bad[row >> 6];
            var bit = 1UL << (row & 63);
            foreach (var rule in _unique)
            {
                if (rule.IsDuplicate(row, times[row]))
                {
                    failures[rule.Index][row >> 6] |= bit;
                    word |= bit;
                }
            }
            if ((word & bit) != 0)
                continue;
            foreach (var rule in _unique)
                rule.Remember(row, times[row]);
        }
    }
}

/// <summary>A rule over single rows.</summary>
internal abstract class RowRule(int index, CheckPlan plan)
{
    public int Index { get; } = index;

    public CheckPlan Plan { get; } = plan;

    /// <summary>Sets the bits of the rows that break the rule. <paramref name="failed"/> comes zeroed, with a bit for every row.</summary>
    public abstract void Evaluate(ColumnBatch batch, Span<ulong> failed);

    /// <summary>The reason for one row that broke it.</summary>
    public abstract string Render(ColumnBatch batch, int row);
}
