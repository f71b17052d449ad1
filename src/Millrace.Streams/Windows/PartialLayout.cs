using Millrace.Columnar;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Windows;

/// <summary>
/// Where the columns of a partial row stand in memory: key columns are encoded into one byte string, the others have a slot each of
/// 8 or 16 bytes in a row of fixed width (behind a bitmap of present values), or a place among the row's variable values.
/// </summary>
internal sealed class PartialLayout
{
    /// <summary>The column that every windowed query's partial rows carry.</summary>
    public const string WindowStart = "window_start";

    /// <exception cref="ArgumentException">The partial columns are not what a windowed query may have.</exception>
    public PartialLayout(IReadOnlyList<PartialColumn> columns)
    {
        Columns = columns;
        Schema = new Schema(columns.Select(c => c.Field).ToArray());
        WindowStartColumn = Schema.IndexOf(WindowStart);
        if (WindowStartColumn < 0 || columns[WindowStartColumn] is not { Merge: Merge.Key, Field.Type.Kind: TypeKind.TimestampTz })
            throw new ArgumentException($"a windowed query's partial rows need the key column {WindowStart} TIMESTAMPTZ ({Schema})");
        var keys = new List<int>();
        var values = new List<ValueSlot>();
        var variables = 0;
        for (var i = 0; i < columns.Count; i++)
        {
            if (i == WindowStartColumn)
                continue;
            CheckSupported(columns[i]);
            if (columns[i].Merge == Merge.Key)
                keys.Add(i);
            else
                values.Add(new ValueSlot(i, columns[i].Field.Type, columns[i].Merge, values.Count, 0, -1));
        }
        var width = (values.Count + 7) / 8;
        width = (width + 7) & ~7;
        for (var i = 0; i < values.Count; i++)
        {
            if (values[i].Type.IsVariable)
            {
                values[i] = values[i] with { Variable = variables++ };
                continue;
            }
            values[i] = values[i] with { Offset = width };
            width += values[i].Type.Width > 8 ? 16 : 8;
        }
        KeyColumns = keys;
        Values = values;
        RowWidth = width;
        VariableCount = variables;
    }

    public IReadOnlyList<PartialColumn> Columns { get; }

    public Schema Schema { get; }

    public int WindowStartColumn { get; }

    /// <summary>Indexes of the key columns without the window's start, in order.</summary>
    public IReadOnlyList<int> KeyColumns { get; }

    public IReadOnlyList<ValueSlot> Values { get; }

    /// <summary>Bytes of the fixed part of a row.</summary>
    public int RowWidth { get; }

    public int VariableCount { get; }

    /// <summary>What must not change while windows are open: names, types and merges of the partial columns.</summary>
    public string Fingerprint => string.Join(", ", Columns.Select(c => $"{c.Field.Name} {c.Field.Type} {c.Merge}"));

    private static void CheckSupported(PartialColumn column)
    {
        var kind = column.Field.Type.Kind;
        var supported = column.Merge switch
        {
            Merge.Key => kind is not (TypeKind.List or TypeKind.Struct or TypeKind.Map or TypeKind.Null or TypeKind.Interval),
            Merge.Sum => kind is TypeKind.Int64 or TypeKind.Float64 or TypeKind.Decimal128,
            Merge.Min or Merge.Max =>
                kind is not (TypeKind.List or TypeKind.Struct or TypeKind.Map or TypeKind.Null or TypeKind.Interval or TypeKind.Boolean),
            Merge.And or Merge.Or => kind is TypeKind.Boolean,
            _ => throw new ArgumentOutOfRangeException(nameof(column), column.Merge, "unknown merge"),
        };
        if (!supported)
            throw new ArgumentException($"partial column '{column.Field.Name}' of type {column.Field.Type} cannot be merged by {column.Merge}");
    }
}

/// <param name="Column">Index in the partial row.</param>
/// <param name="Bit">Index in the row's bitmap of present values.</param>
/// <param name="Offset">Byte offset of the slot in the row; unused for variable values.</param>
/// <param name="Variable">Index among the row's variable values, or -1.</param>
internal readonly record struct ValueSlot(int Column, DataType Type, Merge Merge, int Bit, int Offset, int Variable);
