using System.Globalization;
using System.Text;
using Millrace.Columnar;
using Millrace.Pipelines.Linting;
using Millrace.Storage.Checksums;

namespace Millrace.Pipelines.Generation;

/// <summary>A topic that lands in an Iceberg table by itself: the job that does it, as a pipeline file like any other.</summary>
/// <param name="Table"><c>namespace.table</c>.</param>
/// <param name="CommitEvery">Snapshots are made at most so often.</param>
/// <param name="Avro">Its records are Avro of a registered schema; else JSON objects, whose columns are sampled when no schema is registered.</param>
/// <param name="Columns">The fields of its subject's newest version, so that a newer one makes another file; null leaves them to lint.</param>
/// <param name="Closed">Of a JSON topic with such columns: records with further fields are bad.</param>
/// <param name="Brokers">Where the topic is; null is the default of pipelines.</param>
public sealed record TopicTable(string Topic, string Table, TimeSpan CommitEvery, bool Avro, string? Brokers = null, Schema? Columns = null, bool Closed = false)
{
    /// <summary>What the files of such jobs are called, with the topic behind it.</summary>
    public const string FilePrefix = "topic setting of ";

    private const int LongestName = 63;

    public string FileName => FilePrefix + Topic;

    /// <summary>The job's name: the topic's as far as a job's may be like it, told apart from others by a hash where it may not.</summary>
    public string JobName
    {
        get
        {
            var name = "topic_" + Linter.SuggestName(Topic);
            if (name == "topic_" + Topic && name.Length <= LongestName)
                return name;
            var hash = Crc32C.Compute(Encoding.UTF8.GetBytes(Topic)).ToString("x8", CultureInfo.InvariantCulture);
            return name[..Math.Min(name.Length, LongestName - 9)] + "_" + hash;
        }
    }

    public string ToFile()
    {
        var source = JobName["topic_".Length..];
        var name = char.IsAsciiLetter(source[0]) ? source : "t" + source;
        var yaml = new StringBuilder();
        yaml.Append($"# Made by the setting millrace.iceberg.table of the topic {Topic}; it is made again when that changes.\n");
        yaml.Append($"pipeline: {JobName}\ndescription: \"topic {Topic} lands in {Table}\"\n");
        yaml.Append($"sources:\n  {name}: {{from: \"kafka:{Topic}\", format: {(Avro ? "avro" : "json")}");
        if (Brokers is not null)
            yaml.Append($", brokers: \"{Brokers}\"");
        if (Columns is not null)
            yaml.Append(", schema: {").AppendJoin(", ", Columns.Fields.Select(f => $"\"{f.Name}\": \"{f.Type.SqlName.ToLowerInvariant()}\"")).Append('}');
        // Between a version's registration and the job with its columns, its records wait, about half a minute at most.
        if (Columns is not null && Avro)
            yaml.Append(", newer: wait, on_error: {retries: 8, max_backoff: 4s}");
        if (Columns is not null && !Avro)
            yaml.Append($", unknown: {(Closed ? "quarantine" : "ignore")}");
        yaml.Append(CultureInfo.InvariantCulture, $"}}\nsinks:\n  {name}: \"iceberg:{Table}?commit={Math.Max(1, (long)CommitEvery.TotalSeconds)}s{(Avro || Columns is not null ? "&evolve=true" : "")}\"\n");
        return yaml.ToString();
    }
}
