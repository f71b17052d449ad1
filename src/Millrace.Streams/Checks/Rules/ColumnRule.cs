using Millrace.Columnar;
using Millrace.Columnar.Kernels;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Checks.Rules;

/// <summary>A rule over one column in which null passes.</summary>
internal abstract class ColumnRule(int index, CheckPlan plan, string name, int column) : RowRule(index, plan)
{
    public sealed override unsafe void Evaluate(ColumnBatch batch, Span<ulong> failed)
    {
        var values = batch.Columns[column];
        if (values.NullCount == values.Length)
            return;
        Evaluate(values, failed);
        // Null rows hold any value; whatever the kernel said of them, they pass.
        if (values.Validity is { } validity)
        {
            long end = (long)values.Offset + values.Length;
            for (var word = 0; word < failed.Length; word++)
                failed[word] &= Bitmaps.Word(validity.Pointer, values.Offset + (word * 64L), end);
        }
    }

    public sealed override string Render(ColumnBatch batch, int row) => CheckResult.Reason(Plan.Text, name, batch.Columns[column], row);

    /// <summary>Sets bits of rows that break the rule; what it sets for null rows does not matter. Bits behind the last row stay 0.</summary>
    protected abstract void Evaluate(Column values, Span<ulong> failed);
}

/// <summary><c>not_null</c>.</summary>
internal sealed class NotNullRule(int index, NotNullCheck plan, int[] columns) : RowRule(index, plan)
{
    public override unsafe void Evaluate(ColumnBatch batch, Span<ulong> failed)
    {
        foreach (var index in columns)
        {
            var values = batch.Columns[index];
            if (values.NullCount == 0)
                continue;
            long end = (long)values.Offset + values.Length;
            for (var word = 0; word < failed.Length; word++)
            {
                var rows = values.Length - (word * 64);
                var all = rows >= 64 ? ulong.MaxValue : (1UL << rows) - 1;
                failed[word] |= values.Validity is { } validity ? all & ~Bitmaps.Word(validity.Pointer, values.Offset + (word * 64L), end) : all;
            }
        }
    }

    public override string Render(ColumnBatch batch, int row)
    {
        var names = columns.Where(c => batch.Columns[c].IsNull(row)).Select(c => batch.Schema[c].Name);
        return $"{Plan.Text}: {string.Join(", ", names)} is null";
    }
}
