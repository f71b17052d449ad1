using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Millrace.Columnar;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Generation;

/// <summary>
/// Writes a first pipeline file for a topic from a sample of its records: columns, event time, checks that the sample passes, windowed
/// counts and an Iceberg table. Everything is a guess to be edited, and the file lints clean.
/// </summary>
public static partial class PipelineGenerator
{
    // Fewer rows than this prove nothing about nulls, ranges or uniqueness.
    private const int FewestRows = 20;
    private const int MostGroups = 50;

    private static readonly string[] TimeNames = ["ts", "time", "timestamp", "event_time", "eventtime", "occurred_at", "created_at", "created", "date", "updated_at"];
    private static readonly string[] YamlWords = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

    /// <summary>The file's text.</summary>
    /// <param name="topic">The topic that was sampled.</param>
    /// <param name="records">Values of its records; some hundreds are plenty.</param>
    /// <exception cref="InvalidDataException">No record is a JSON object with fields.</exception>
    public static string Generate(string topic, IReadOnlyList<byte[]> records)
    {
        var profile = TopicProfile.Of(records);
        var name = Linter.SuggestName(topic);
        var time = TimeColumnOf(profile);
        var yaml = new StringBuilder();
        yaml.Append($"# Made from {profile.Rows} records of the topic {topic}; every line is a guess to be checked.\n");
        yaml.Append($"pipeline: {Cut(name + "_pipeline")}\n\nsources:\n  {name}:\n    from: kafka:{topic}?format=json");
        if (time is not null && IsPlain(time.Name))
            yaml.Append($"&time={time.Name}&watermark=5s");
        yaml.Append('\n');
        if (time is not null && !IsPlain(time.Name))
            yaml.Append($"    time: {Scalar(time.Name)}\n    watermark: 5s\n");
        yaml.Append("    schema:\n");
        foreach (var column in profile.Columns)
            yaml.Append($"      {Scalar(column.Name)}: {column.Field.Type.SqlName.ToLowerInvariant()}\n");
        yaml.Append("    unknown: ignore\n");
        AppendChecks(yaml, name, profile);
        var groups = GroupColumnsOf(profile, time);
        using (var analyzer = new SqlAnalyzer())
            AppendSql(yaml, name, profile, groups, analyzer);
        AppendSinks(yaml, name, groups);
        return yaml.ToString();
    }

    private static void AppendChecks(StringBuilder yaml, string name, TopicProfile profile)
    {
        var checks = new List<string>();
        if (profile.Rows >= FewestRows)
        {
            var present = profile.Columns.Where(c => c.Nulls == 0).ToArray();
            if (present.Length > 0)
                checks.Add($"not_null({string.Join(", ", present.Select(c => Word(c.Name)))})");
            foreach (var column in profile.Columns.Where(c => c.IsNumeric && c.Least is not null && !LooksLikeId(c)))
                checks.Add($"{Word(column.Name)} between {Lower(column.Least!.Value)} and {Upper(column.Greatest!.Value)}");
            if (profile.Columns.FirstOrDefault(c => IsUnique(c, profile.Rows)) is { } id)
                checks.Add($"unique({Word(id.Name)}) within 1h");
        }
        if (checks.Count == 0)
            return;
        yaml.Append($"\nchecks:\n  {name}:\n");
        foreach (var check in checks)
            yaml.Append($"    - {Scalar(check)}\n");
        yaml.Append("    - on_fail: quarantine\n    - breaker: 5% over 1m\n");
    }

    private static void AppendSql(StringBuilder yaml, string name, TopicProfile profile, IReadOnlyList<ColumnProfile> groups, SqlAnalyzer analyzer)
    {
        yaml.Append("\nsql:\n");
        var sums = profile.Columns.Where(c => c.Field.Type.Kind == TypeKind.Float64 && !groups.Contains(c)).Take(2).ToArray();
        foreach (var group in groups)
            AppendStep(yaml, name, profile.Rows, group, sums, analyzer);
        if (groups.Count == 0)
            AppendStep(yaml, name, profile.Rows, null, sums, analyzer);
    }

    private static void AppendStep(
        StringBuilder yaml, string name, int rows, ColumnProfile? group, IReadOnlyList<ColumnProfile> sums, SqlAnalyzer analyzer)
    {
        var columns = new List<string> { "window_start", "count(*) AS events" };
        // A key may not be null; a group of rows without the value gets a name.
        var named = group is { } g && (g.Nulls > 0 || rows < FewestRows);
        if (group is not null)
            columns.Insert(0, named ? $"coalesce(CAST({analyzer.Identifier(group.Name)} AS VARCHAR), 'none') AS {analyzer.Identifier(group.Name)}" : analyzer.Identifier(group.Name));
        foreach (var sum in sums)
            columns.Add($"sum({analyzer.Identifier(sum.Name)}) AS {analyzer.Identifier("sum_" + Linter.SuggestName(sum.Name))}");
        var keys = group is null ? "window_start" : named ? "1, window_start" : $"{analyzer.Identifier(group.Name)}, window_start";
        yaml.Append($"  {StepName(name, group)}: |\n    SELECT {string.Join(", ", columns)}\n    FROM tumble({name}, 1m) GROUP BY {keys}\n");
    }

    private static void AppendSinks(StringBuilder yaml, string name, IReadOnlyList<ColumnProfile> groups)
    {
        yaml.Append($"\nsinks:\n  {name}: iceberg:lake.{name}?commit=10s\n");
        foreach (var group in groups)
        {
            if (IsPlain(group.Name))
                yaml.Append($"  {StepName(name, group)}: iceberg:lake.{StepName(name, group)}?key={group.Name},window_start&commit=10s\n");
            else
                yaml.Append($"  {StepName(name, group)}:\n    to: iceberg:lake.{StepName(name, group)}\n    key: [{Quoted(group.Name)}, window_start]\n    commit: 10s\n");
        }
        if (groups.Count == 0)
            yaml.Append($"  {StepName(name, null)}: iceberg:lake.{StepName(name, null)}?key=window_start&commit=10s\n");
    }

    private static string StepName(string name, ColumnProfile? group) => Cut(group is null ? $"{name}_by_minute" : $"{name}_by_{Linter.SuggestName(group.Name)}");

    private static string Cut(string name) => name.Length > 63 ? name[..63] : name;

    private static ColumnProfile? TimeColumnOf(TopicProfile profile) => profile.Columns
        .Where(c => c.Field.Type.Kind == TypeKind.TimestampTz && c.Nulls < profile.Rows)
        .OrderBy(c => c.Nulls)
        .ThenBy(c => Array.IndexOf(TimeNames, c.Name.ToLowerInvariant()) is >= 0 and var rank ? rank : TimeNames.Length)
        .FirstOrDefault();

    // Columns of few values say more as a group than those of many; two are enough to begin with.
    private static ColumnProfile[] GroupColumnsOf(TopicProfile profile, ColumnProfile? time)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        return profile.Columns
            .Where(c => c != time && c.Field.Type.Kind is TypeKind.Utf8 or TypeKind.Boolean or TypeKind.Int64 && c.Distinct > 1 && c.Distinct <= MostGroups
                && c.Distinct <= Math.Max(2, profile.Rows / 4) && c.Longest <= 64 && !c.Name.Equals("window_start", StringComparison.OrdinalIgnoreCase))
            .OrderBy(c => c.Field.Type.Kind == TypeKind.Utf8 ? 0 : 1).ThenByDescending(c => c.Distinct)
            .Where(c => names.Add(Linter.SuggestName(c.Name)))
            .Take(2).ToArray();
    }

    private static bool LooksLikeId(ColumnProfile column) => IdName().IsMatch(column.Name);

    private static bool IsUnique(ColumnProfile column, int rows) =>
        column.Nulls == 0 && column.Distinct == Math.Min(rows, TopicProfile.MostDistinct) && LooksLikeId(column)
        && column.Field.Type.Kind is TypeKind.Int64 or TypeKind.Utf8;

    // Ten times what was seen, rounded up to a power of ten: a bound for nonsense, not for outliers.
    private static string Upper(double greatest) => greatest <= 0 ? "0" : Round(greatest);

    private static string Lower(double least) => least >= 0 ? "0" : "-" + Round(-least);

    private static string Round(double value) => Math.Pow(10, Math.Ceiling(Math.Log10(Math.Max(1, value))) + 1).ToString("F0", CultureInfo.InvariantCulture);

    // A name as checks write it.
    private static string Word(string name) => PlainName().IsMatch(name) ? name : $"\"{name.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static bool IsPlain(string name) => PlainName().IsMatch(name);

    private static string Scalar(string text) =>
        PlainScalar().IsMatch(text) && !YamlWords.Contains(text.ToLowerInvariant()) ? text : Quoted(text);

    private static string Quoted(string text) =>
        text.Any(char.IsControl) ? JsonSerializer.Serialize(text) : $"'{text.Replace("'", "''", StringComparison.Ordinal)}'";

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_]*$")]
    private static partial Regex PlainName();

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_ (),.<>=-]*$")]
    private static partial Regex PlainScalar();

    [GeneratedRegex("(^|_|[a-z])(id|ID|Id|uuid|guid|key|number|No|no)$")]
    private static partial Regex IdName();
}
