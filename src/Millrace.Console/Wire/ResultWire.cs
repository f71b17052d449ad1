using System.ComponentModel;
using System.Text.Json;

namespace Millrace.WebConsole.Wire;

public sealed record ColumnInfo(string Name, [property: Description("the SQL type, e.g. BIGINT")] string Type);

public sealed record SqlRequest(string Sql, [property: Description("rows wanted at most; 1000 when absent")] int? MaxRows = null);

[Description("Rows as arrays. Integers beyond 2^53 and decimals of more than 15 digits are strings; times are ISO 8601; NaN is \"NaN\".")]
public sealed record SqlReply(
    IReadOnlyList<ColumnInfo> Columns, IReadOnlyList<IReadOnlyList<JsonElement>> Rows, int RowCount, bool Truncated, double TookMillis, string? Tag);

public sealed record LiveOutput(
    string Job,
    string Output,
    IReadOnlyList<ColumnInfo> Columns,
    [property: Description("columns' parts: window, key, measure or other")] IReadOnlyList<string> Roles,
    [property: Description("rows that the output holds now, before cutting to the newest windows and largest keys")] int Total,
    IReadOnlyList<IReadOnlyList<JsonElement>> Rows);
