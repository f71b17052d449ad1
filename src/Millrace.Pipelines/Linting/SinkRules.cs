using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Plans;
using Millrace.Streams.Sinks;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>Sinks: their addresses, what they read, and their keys.</summary>
internal sealed class SinkRules(PipelineFile file, LintContext context, DiagnosticBag faults)
{
    private static readonly TimeSpan DefaultCommit = TimeSpan.FromSeconds(10);
    private static readonly string[] Kinds = ["iceberg", "topic", "kafka"];

    public IReadOnlyList<SinkPlan> Lint(Outputs outputs, IReadOnlyList<LintedSource> sources)
    {
        var sinks = new List<SinkPlan>();
        var targets = new HashSet<string>();
        foreach (var (name, list) in file.Sinks.Entries.Select(e => (e.Name, e.Value)))
        {
            var known = outputs.Names.Contains(name.Value);
            if (!known)
                faults.Error(name.Place, "unknown-output", $"there is no source or step '{name.Value}'", NearestName.Hint(name.Value, outputs.Names, "there are"));
            foreach (var entry in list.Items)
            {
                if (entry.To is not { } to || LintSink(name.Value, to, entry, outputs) is not { } sink)
                    continue;
                var target = sink is IcebergSinkPlan table ? $"{table.Namespace}.{table.Table}" : ((TopicSinkPlan)sink).Topic;
                if (!targets.Add($"{sink.GetType().Name} {target}"))
                    faults.Error(to.Place, "duplicate-name", $"two sinks write to '{target}'", "give each its own table or topic");
                if (sink is TopicSinkPlan topic && sources.FirstOrDefault(s => s.Plan is { } p && (p.QuarantineTopic == target || p.LateTopic == target) && p.Brokers == topic.Brokers) is { } taken)
                    faults.Error(to.Place, "duplicate-name", $"source '{taken.Name}' writes its bad or late records to '{target}'", "give the sink its own topic");
                if (known)
                    sinks.Add(sink);
            }
        }
        CheckDeadLetters(sinks, sources);
        return sinks;
    }

    // What a crash left in doubt is looked for in the topic by the pipeline's marks, which tell no two sinks apart.
    private void CheckDeadLetters(List<SinkPlan> sinks, IReadOnlyList<LintedSource> sources)
    {
        var topics = sinks.OfType<TopicSinkPlan>().ToArray();
        foreach (var sink in topics)
        {
            var dead = sink.DeadLetterTopic;
            var user = topics.FirstOrDefault(t => t.Brokers == sink.Brokers && (t.Topic == dead || (t != sink && t.DeadLetterTopic == dead))) is { } other
                ? $"the sink of '{other.Input}'"
                : sources.FirstOrDefault(s => s.Plan is { } p && p.Brokers == sink.Brokers && (p.QuarantineTopic == dead || p.LateTopic == dead || p.Topic == dead)) is { } source ? $"source '{source.Name}'" : null;
            if (user is not null)
            {
                var place = file.Sinks.Entries.First(e => e.Name.Value == sink.Input).Name.Place;
                faults.Error(place, "duplicate-name", $"rows of '{sink.Input}' that '{sink.Topic}' refuses would go to '{dead}', which {user} has", "name another by dead_letter:");
            }
        }
    }

    private SinkPlan? LintSink(string output, Text to, SinkEntry entry, Outputs outputs)
    {
        var found = new List<TextFault>();
        var endpoint = Endpoint.Parse(to.Value, found);
        Places.Tell(to, found, faults);
        if (endpoint is null || found.Count > 0)
            return null;
        switch (endpoint.Scheme)
        {
            case "iceberg":
                return LintTable(output, endpoint, to, entry, outputs);
            case "topic" or "kafka":
                return LintTopic(output, endpoint, to, entry, outputs);
            default:
                faults.Error(to.At(0, endpoint.Scheme.Length), "bad-address", $"there is no sink of kind '{endpoint.Scheme}'", NearestName.Hint(endpoint.Scheme, Kinds, "sinks are"));
                return null;
        }
    }

    private IcebergSinkPlan? LintTable(string output, Endpoint endpoint, Text to, SinkEntry entry, Outputs outputs)
    {
        var settings = new Settings(endpoint, to, faults, ["key", "commit", "keep", "keep_last", "compact", "evolve"], "an iceberg sink");
        var commit = settings.Duration("commit", entry.Commit) ?? DefaultCommit;
        var upkeep = new SinkUpkeep(LintKeep(settings, entry, commit), settings.Count("keep_last", entry.KeepLast), LintCompact(settings, entry));
        if (entry.Brokers is { } brokers)
            faults.Error(brokers.Place, "unknown-option", "an iceberg sink has no brokers");
        foreach (var (name, field) in new[] { ("format", entry.Format), ("registry", entry.Registry), ("subject", entry.Subject), ("dead_letter", entry.DeadLetter) })
        {
            if (field is not null)
                faults.Error(field.Place, "unknown-option", $"an iceberg sink has no {name}", name == "dead_letter" ? "rows that do not fit its table stop the pipeline before any is lost" : "its rows are Parquet; topics take format: avro");
        }
        var evolve = settings.OneOf("evolve", entry.Evolve, ["true", "false"]) == "true";
        var key = LintKey(output, settings.Take("key", null), entry.Key, outputs, out var given);
        var parts = endpoint.Path.Split('.');
        if (parts.Length < 2 || parts.Any(p => p.Length == 0 || !p.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-')))
        {
            faults.Error(to.At(endpoint.PathSpan.Offset, endpoint.PathSpan.Length), "bad-address", $"'{endpoint.Path}' is not namespace.table", "iceberg:sales.by_country");
            return null;
        }
        if (!given && outputs.QueryOf(output) is { Plan: WindowedQueryPlan } query)
        {
            var columns = string.Join(",", query.KeyColumns);
            faults.Error(
                to.At(endpoint.PathSpan.Offset, endpoint.PathSpan.Length), "no-key", $"'{output}' gives one row for each group and window, and this sink does not say which columns identify it",
                $"iceberg:{endpoint.Path}?key={columns}");
        }
        var sink = new IcebergSinkPlan(output, string.Join('.', parts[..^1]), parts[^1], WithoutNulls(output, key, to, outputs), commit) { Upkeep = upkeep, Evolve = evolve };
        if (outputs.ColumnsOf(output) is { } rows && context.Tables?.Invoke(sink.Namespace, sink.Table) is { } table && TableFit.Fault(table, rows, evolve) is var (reason, hint))
            faults.Error(to.At(endpoint.PathSpan.Offset, endpoint.PathSpan.Length), "table-columns", $"{endpoint.Path} cannot take the rows of '{output}': {reason}", hint, $"./millrace table show {endpoint.Path}");
        return sink;
    }

    private TimeSpan? LintKeep(Settings settings, SinkEntry entry, TimeSpan commit)
    {
        if (settings.Take("keep", entry.Keep) is not { } setting)
            return null;
        if (setting.Value == "forever")
            return TimeSpan.MaxValue;
        var keep = Durations.Read(setting.Value, setting.Place, faults);
        if (keep < commit)
            faults.Warning(setting.Place, "short-keep", $"snapshots expire before the next is made (commit {DurationText.Write(commit)})", "queries under way may lose their files; keep some minutes at least");
        return keep;
    }

    private static long? LintCompact(Settings settings, SinkEntry entry) =>
        settings.Take("compact", null) is { Value: "off" } || entry.Compact is { Value: "off" } ? 0 : settings.Size("compact", entry.Compact);

    // Iceberg's identifier fields are required (spec, Identifier Field IDs); a table with one that may be null could not be written.
    private List<string> WithoutNulls(string output, List<string> key, Text to, Outputs outputs)
    {
        if (outputs.ColumnsOf(output) is not { } columns)
            return key;
        var nullable = key.Where(k => columns[columns.IndexOf(k)].Nullable).ToArray();
        if (nullable.Length == 0)
            return key;
        faults.Warning(
            to.Place, "nullable-key", $"{string.Join(" and ", nullable.Select(n => $"'{n}'"))} may be null, so the table gets no identifier fields",
            $"add the check not_null({string.Join(", ", nullable)}), or select coalesce({nullable[0]}, ...) AS {nullable[0]}");
        return [];
    }

    private TopicSinkPlan? LintTopic(string output, Endpoint endpoint, Text to, SinkEntry entry, Outputs outputs)
    {
        var settings = new Settings(endpoint, to, faults, ["key", "brokers", "format", "registry", "subject", "dead_letter"], $"a {endpoint.Scheme} sink");
        var brokers = settings.Take("brokers", entry.Brokers)?.Value ?? context.Brokers;
        if (entry.Commit is { } commit)
            faults.Error(commit.Place, "unknown-option", $"a {endpoint.Scheme} sink has no commit", "its rows are delivered at each checkpoint");
        foreach (var (name, field) in new[] { ("keep", entry.Keep), ("keep_last", entry.KeepLast), ("compact", entry.Compact), ("evolve", entry.Evolve) })
        {
            if (field is not null)
                faults.Error(field.Place, "unknown-option", $"a {endpoint.Scheme} sink has no {name}", name == "evolve" ? "its registry says which schemas may follow another" : "how long a topic keeps records is the topic's setting retention.ms");
        }
        var key = LintKey(output, settings.Take("key", null), entry.Key, outputs, out _);
        if (!Places.CheckTopic(endpoint, to, faults))
            return null;
        foreach (var source in file.Sources.Entries)
        {
            if (source.Value.From?.Value.Split('?')[0] is { } from && from == "kafka:" + endpoint.Path)
                faults.Error(to.At(endpoint.PathSpan.Offset, endpoint.PathSpan.Length), "cycle", $"the pipeline would read its own rows: topic '{endpoint.Path}' is the source '{source.Name.Value}'", "write to another topic");
        }
        var sink = new TopicSinkPlan(output, brokers, endpoint.Path, key) { Avro = LintAvro(output, endpoint.Path, settings, to, entry, outputs) };
        if (settings.Take("dead_letter", entry.DeadLetter) is not { } dead)
            return sink;
        if (!Places.CheckTopic(dead, faults))
            return sink;
        if (dead.Value == endpoint.Path)
            faults.Error(dead.Place, "bad-value", $"rows that '{dead.Value}' refuses cannot go to '{dead.Value}'", $"dead_letter: {endpoint.Path}.dead");
        return sink with { DeadLetterTopic = dead.Value };
    }

    private AvroSinkPlan? LintAvro(string output, string topic, Settings settings, Text to, SinkEntry entry, Outputs outputs)
    {
        var registry = settings.Take("registry", entry.Registry);
        var subject = settings.Take("subject", entry.Subject);
        if (settings.OneOf("format", entry.Format, ["json", "avro"]) != "avro")
        {
            foreach (var setting in new[] { registry, subject })
            {
                if (setting is not null)
                    faults.Error(setting.Place, "unknown-option", "this is for rows in Avro, and these are JSON", "format: avro");
            }
            return null;
        }
        var address = context.Registry;
        if (registry is not null)
        {
            if (Uri.TryCreate(registry.Value, UriKind.Absolute, out var written) && written.Scheme is "http" or "https")
                address = written;
            else
                faults.Error(registry.Place, "bad-address", $"'{registry.Value}' is no http or https address", "registry: http://schemas:8081");
        }
        if (outputs.ColumnsOf(output) is { } schema)
        {
            foreach (var field in schema.Fields.Where(f => !AvroRowWriter.IsName(f.Name)))
                faults.Error(to.Place, "bad-name", $"column '{field.Name}' cannot be a field in Avro", "names have letters, digits and _ and begin with no digit: SELECT ... AS another_name");
        }
        return new AvroSinkPlan(address, subject?.Value ?? topic + "-value", "millrace." + output);
    }

    private List<string> LintKey(string output, Setting? option, FileList<Text>? field, Outputs outputs, out bool given)
    {
        given = option is not null || field is not null;
        var columns = new List<(string Name, Place At)>();
        if (option is not null)
        {
            if (field is not null)
                faults.Error(option.Place, "duplicate-name", "'key' stands twice: here and beside the address", "keep one");
            var offset = 0;
            foreach (var part in option.Value.Split(','))
            {
                columns.Add((part.Trim(), option.At(offset, Math.Max(1, part.Length))));
                offset += part.Length + 1;
            }
        }
        foreach (var text in field?.Items ?? [])
            columns.Add((text.Value, text.Place));
        var key = new List<string>();
        var schema = outputs.ColumnsOf(output);
        foreach (var (name, at) in columns)
        {
            if (key.Contains(name))
                faults.Error(at, "duplicate-name", $"key column '{name}' stands twice");
            else if (schema is not null && schema.IndexOf(name) < 0)
                faults.Error(at, "unknown-column", $"'{output}' has no column '{name}'", NearestName.Hint(name, schema.Fields.Select(f => f.Name).ToArray(), "its columns are"));
            else if (schema is not null && schema[schema.IndexOf(name)].Type is { Children: not null } or { Kind: TypeKind.Float32 or TypeKind.Float64 })
                faults.Error(at, "type", $"'{name}' is {schema[schema.IndexOf(name)].Type} and cannot be a key");
            else
                key.Add(name);
        }
        if (outputs.QueryOf(output) is { Plan: WindowedQueryPlan } query && key.Count == columns.Count && key.Count > 0)
            WarnOfLooseKey(output, query, key, columns[0].At);
        return key;
    }

    private void WarnOfLooseKey(string output, SqlAnalysis query, List<string> key, Place at)
    {
        var missing = query.KeyColumns.Where(k => !key.Contains(k)).ToArray();
        if (missing.Length > 0)
            faults.Warning(at, "loose-key", $"rows of '{output}' that differ only in {string.Join(" and ", missing)} share this key", $"key={string.Join(",", query.KeyColumns)}");
    }
}
