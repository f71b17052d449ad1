using System.Globalization;
using Millrace.Columnar;
using Millrace.Columnar.Json;
using Millrace.Pipelines.Files;
using Millrace.Pipelines.Language;
using Millrace.Streams.Plans;
using Millrace.Streams.Sql;

namespace Millrace.Pipelines.Linting;

/// <summary>Sources: their addresses, columns and checks.</summary>
internal sealed class SourceRules(PipelineFile file, LintContext context, DiagnosticBag faults, Dictionary<string, Schema> sampled)
{
    private const int MostRetries = 1000;

    private static readonly string[] Options = ["format", "time", "watermark", "idle", "brokers", "max_record", "unknown", "schema", "registry", "subject", "newer"];

    public IReadOnlyList<LintedSource> Lint()
    {
        var sources = file.Sources.Entries.Select(s => new LintedSource(s.Name, LintSource(s))).ToArray();
        CheckDeadLetters(sources);
        foreach (var checks in file.Checks.Entries)
        {
            if (sources.Any(s => s.Name == checks.Name.Value))
                continue;
            var names = sources.Select(s => s.Name).ToArray();
            faults.Error(checks.Name.Place, "unknown-source", $"there is no source '{checks.Name.Value}' to check", NearestName.Hint(checks.Name.Value, names, "the sources are"));
        }
        return sources;
    }

    // What a crash left in doubt is looked for in the topic by the pipeline's marks, which tell no two sources apart.
    private void CheckDeadLetters(IReadOnlyList<LintedSource> sources)
    {
        foreach (var entry in file.Sources.Entries)
        {
            if (entry.Value.OnError?.DeadLetter is not { } topic)
                continue;
            var other = sources.FirstOrDefault(s => s.Name != entry.Name.Value && s.Plan is { } plan && (plan.QuarantineTopic == topic.Value || plan.LateTopic == topic.Value));
            if (other is not null)
                faults.Error(topic.Place, "duplicate-name", $"source '{other.Name}' writes to '{topic.Value}' too", $"dead_letter: {entry.Name.Value}.dead");
        }
    }

    private SourcePlan? LintSource(FileEntry<SourceEntry> entry)
    {
        var checks = file.Checks.Entries.FirstOrDefault(c => c.Name.Value == entry.Name.Value);
        if (entry.Value.From is not { } from || ReadAddress(from) is not { } endpoint)
        {
            // The checks are still read, for the faults that they have by themselves.
            new CheckRules(faults, null).Lint(checks?.Value);
            return null;
        }
        var settings = new Settings(endpoint, from, faults, Options, "a kafka source");
        var brokers = settings.Take("brokers", entry.Value.Brokers)?.Value ?? context.Brokers;
        var avro = settings.OneOf("format", entry.Value.Format, ["json", "avro"]) == "avro" ? new AvroRules(context, faults) : null;
        avro?.Read(settings, entry, endpoint.Path);
        if (avro is null)
            RefuseAvroSettings(settings, entry.Value);
        var schema = ReadSchema(entry, settings, new TopicAddress(brokers, endpoint.Path), avro);
        var time = settings.Take("time", entry.Value.Time);
        // A declared schema is a contract; a sampled one has seen some records only. Avro's readers pass over fields by the format's own rules.
        var declared = avro is null && schema is not null && !sampled.ContainsKey(entry.Name.Value);
        var unknown = settings.OneOf("unknown", entry.Value.Unknown, ["ignore", "quarantine"]) ?? (declared ? "quarantine" : "ignore");
        var plan = new SourcePlan
        {
            Name = entry.Name.Value, Topic = endpoint.Path, Brokers = brokers, Schema = schema ?? new Schema(), TimeColumn = time?.Value,
            RefuseUnknownFields = unknown == "quarantine", Format = avro is null ? RecordFormat.Json : RecordFormat.Avro, Avro = avro?.Plan,
        };
        if (settings.Duration("watermark", entry.Value.Watermark) is { } watermark)
            plan = plan with { WatermarkDelay = watermark };
        if (settings.Duration("idle", entry.Value.Idle) is { } idle)
            plan = plan with { IdleAfter = idle };
        if (settings.Size("max_record", entry.Value.MaxRecord) is { } most)
            plan = plan with { MaxRecordBytes = (int)Math.Min(most, int.MaxValue / 2) };
        // SQL is checked further with the record's timestamp, so that one fault is told once.
        if (schema is not null && time is not null && !CheckTime(time, schema))
            plan = plan with { TimeColumn = null };
        if (entry.Value.OnError is { } errors)
            plan = plan with { Errors = ReadErrors(errors, plan) };
        var (rules, onFail, breaker) = new CheckRules(faults, schema).Lint(checks?.Value);
        if (onFail == OnFail.Stop && entry.Value.OnError is { } both && (both.Retries ?? both.DeadLetter) is { } at)
            faults.Error(at.Place, "bad-value", "the checks say on_fail: stop, so no record is tried again or becomes a dead letter", "take on_fail: stop away, or on_error:");
        return schema is null ? null : plan with { Checks = rules, OnFail = onFail, Breaker = breaker };
    }

    private ErrorPlan ReadErrors(ErrorEntry entry, SourcePlan source)
    {
        var plan = new ErrorPlan();
        if (entry.Retries is { } retries)
        {
            if (int.TryParse(retries.Value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count <= MostRetries)
                plan = plan with { Retries = count };
            else
                faults.Error(retries.Place, "bad-number", $"'{retries.Value}' is not a number of retries from 0 to {MostRetries}", "retries: 5");
        }
        if (entry.Backoff is { } backoff && Durations.Read(backoff.Value, backoff.Place, faults) is { } first)
            plan = plan with { Backoff = first, MaxBackoff = first > plan.MaxBackoff ? first : plan.MaxBackoff };
        if (entry.MaxBackoff is { } longest && Durations.Read(longest.Value, longest.Place, faults) is { } most)
        {
            plan = plan with { MaxBackoff = most };
            if (most < plan.Backoff)
                faults.Error(longest.Place, "bad-value", $"max_backoff {longest.Value} is shorter than backoff {entry.Backoff?.Value ?? "1s"}");
        }
        if (entry.MaxWaiting is { } waiting)
        {
            if (ByteSizeText.TryParse(waiting.Value, out var bytes))
                plan = plan with { MaxWaitingBytes = bytes };
            else
                faults.Error(waiting.Place, "bad-size", $"'{waiting.Value}' is not a size", ByteSizeText.Hint);
        }
        if (plan.Retries == 0 && (entry.Backoff ?? entry.MaxBackoff ?? entry.MaxWaiting) is { } idle)
            faults.Warning(idle.Place, "no-effect", "nothing is tried again: there are no retries", "retries: 5");
        if (entry.DeadLetter is not { } topic)
            return plan;
        if (!Places.CheckTopic(topic, faults))
            return plan;
        if (topic.Value == source.Topic || topic.Value == source.LateTopic)
            faults.Error(topic.Place, "bad-value", $"dead letters cannot go to '{topic.Value}', which the source {(topic.Value == source.Topic ? "reads" : "writes late rows to")}", $"dead_letter: {source.Name}.dead");
        return plan with { DeadLetterTopic = topic.Value };
    }

    private Endpoint? ReadAddress(Text from)
    {
        var found = new List<TextFault>();
        var endpoint = Endpoint.Parse(from.Value, found);
        Places.Tell(from, found, faults);
        if (endpoint is null || found.Count > 0)
            return null;
        if (endpoint.Scheme != "kafka" && endpoint.Scheme != "topic")
        {
            var hint = NearestName.Find(endpoint.Scheme, ["kafka"]) is { } nearest ? $"did you mean '{nearest}'?" : "sources are kafka:TOPIC (the embedded log and Apache Kafka alike)";
            faults.Error(from.At(0, endpoint.Scheme.Length), "bad-address", $"there is no source of kind '{endpoint.Scheme}'", hint);
            return null;
        }
        return Places.CheckTopic(endpoint, from, faults) ? endpoint : null;
    }

    private void RefuseAvroSettings(Settings settings, SourceEntry entry)
    {
        foreach (var setting in new[] { settings.Take("registry", entry.Registry), settings.Take("subject", entry.Subject), settings.Take("newer", entry.Newer) })
        {
            if (setting is not null)
                faults.Error(setting.Place, "unknown-option", "this is for records in Avro, and these are JSON", "format: avro");
        }
    }

    private Schema? ReadSchema(FileEntry<SourceEntry> entry, Settings settings, TopicAddress topic, AvroRules? avro)
    {
        var inline = settings.Take("schema", null);
        if (entry.Value.Schema is { } map)
        {
            if (inline is not null)
                faults.Error(inline.Place, "duplicate-name", "the schema stands twice: here and under schema:", "keep one");
            return ReadColumns(map.Entries.Select(c => (c.Name.Value, c.Name.Place, c.Value.Value, c.Value.Place)));
        }
        if (inline is not null)
            return ReadColumns(SplitInline(inline));
        if (!context.KnownSchemas.TryGetValue(entry.Name.Value, out var found))
            found = avro is null ? SampleColumns(entry, topic) : avro.Columns(entry);
        if (found is null || !HasGoodNames(found, entry))
            return null;
        return sampled[entry.Name.Value] = found;
    }

    private bool HasGoodNames(Schema schema, FileEntry<SourceEntry> entry)
    {
        for (var i = 0; i < schema.Count; i++)
        {
            if (NameFault(schema[i], schema.Fields.Take(i)) is { } fault)
            {
                faults.Error(entry.Value.From!.Place, fault.Code, $"in the records of '{entry.Name.Value}': {fault.Text}", "declare the columns wanted under schema:");
                return false;
            }
        }
        return true;
    }

    /// <summary>What keeps a field from being a column in SQL, where names are the same whatever their case.</summary>
    private static (string Code, string Text)? NameFault(Field field, IEnumerable<Field> before)
    {
        var name = field.Name;
        if (name.Length == 0 || name.AsSpan().ContainsAnyInRange('\0', '\u001F'))
            return ("bad-name", name.Length == 0 ? "a column has no name" : $"the name '{string.Concat(name.Select(c => c < ' ' ? '\uFFFD' : c))}' holds a control character");
        foreach (var other in before)
        {
            if (string.Equals(other.Name, name, StringComparison.OrdinalIgnoreCase))
                return ("duplicate-name", other.Name == name ? $"column '{name}' stands twice" : $"columns '{other.Name}' and '{name}' differ in case only, and SQL takes them for one");
        }
        if (field.Type is { Kind: TypeKind.Struct, Children: { } children } && children.Count == 0)
            return ("bad-schema", $"the struct '{name}' has no fields");
        var inner = field.Type.Children ?? [];
        for (var i = 0; i < inner.Count; i++)
        {
            if (NameFault(inner[i], inner.Take(i)) is { } fault)
                return (fault.Code, $"in '{name}': {fault.Text}");
        }
        return null;
    }

    private Schema? SampleColumns(FileEntry<SourceEntry> entry, TopicAddress topic)
    {
        var at = entry.Value.From!.Place;
        const string hint = "declare them: {from: \"kafka:...\", schema: {order_id: bigint, amount: double, ts: timestamptz}}";
        var sample = context.Sampler?.Invoke(topic);
        if (sample is null or { Unreachable: true })
        {
            var why = sample?.Problem is { } problem ? $"no server was reached ({problem})" : "no server was asked";
            faults.Warning(
                at, "unknown-columns", $"the columns of '{entry.Name.Value}' are not declared and {why}, so columns and SQL are not checked", hint,
                sample is null ? $"./millrace lint {faults.Source.FileName}" : "./millrace up");
            return null;
        }
        var reason = sample.Problem ?? (sample.Records.Count == 0 ? $"topic '{topic.Topic}' has no records yet" : null);
        if (reason is null)
        {
            try
            {
                return JsonSchemaSampler.Sample(sample.Records.Select(r => (ReadOnlyMemory<byte>)r));
            }
            catch (InvalidDataException error)
            {
                reason = error.Message;
            }
        }
        faults.Error(at, "unknown-columns", $"the columns of '{entry.Name.Value}' are not known: {reason}", hint, sample.Problem is null ? $"./millrace topic show {topic.Topic}" : "./millrace topic list");
        return null;
    }

    private Schema? ReadColumns(IEnumerable<(string Name, Place At, string Type, Place TypeAt)> columns)
    {
        var fields = new List<Field>();
        var good = true;
        foreach (var (name, at, typeName, typeAt) in columns)
        {
            if (TypeNames.TryParse(typeName, out var type))
            {
                var field = new Field(name, type);
                if (NameFault(field, fields) is { } fault)
                {
                    faults.Error(at, fault.Code, fault.Text);
                    good = false;
                }
                fields.Add(field);
            }
            else
            {
                var hint = NearestName.Find(typeName, TypeNames.All) is { } nearest ? $"did you mean '{nearest}'?" : "types are " + string.Join(", ", TypeNames.Common);
                faults.Error(typeAt, "unknown-type", $"there is no type '{typeName}'", hint);
                good = false;
            }
        }
        if (good && fields.Count > 0)
            return new Schema(fields);
        return null;
    }

    private List<(string, Place, string, Place)> SplitInline(Setting setting)
    {
        var columns = new List<(string, Place, string, Place)>();
        var offset = 0;
        foreach (var part in TypeNames.SplitArguments(setting.Value))
        {
            offset = Math.Max(offset, setting.Value.IndexOf(part, offset, StringComparison.Ordinal));
            var colon = part.IndexOf(':', StringComparison.Ordinal);
            if (colon <= 0)
                faults.Error(setting.At(offset, Math.Max(1, part.Length)), "bad-schema", $"'{part}' is not column:type", "schema=order_id:bigint,amount:double");
            else
                columns.Add((part[..colon], setting.At(offset, colon), part[(colon + 1)..], setting.At(offset + colon + 1, part.Length - colon - 1)));
            offset += part.Length;
        }
        return columns;
    }

    private bool CheckTime(Setting time, Schema schema)
    {
        var index = schema.IndexOf(time.Value);
        if (index < 0)
        {
            faults.Error(time.Place, "unknown-column", $"there is no column '{time.Value}'", NearestName.Hint(time.Value, schema.Fields.Select(f => f.Name).ToArray(), "the columns are"));
            return false;
        }
        if (schema[index].Type.Kind != TypeKind.TimestampTz)
        {
            var candidates = schema.Fields.Where(f => f.Type.Kind == TypeKind.TimestampTz).Select(f => f.Name).ToArray();
            var hint = candidates.Length > 0 ? $"timestamptz columns are: {string.Join(", ", candidates)}" : $"declare it so under schema: {time.Value}: timestamptz";
            faults.Error(time.Place, "type", $"event time needs a timestamptz column and '{time.Value}' is {schema[index].Type}", hint);
            return false;
        }
        return true;
    }
}
