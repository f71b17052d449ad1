using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Millrace.Kafka.Clients;
using static Millrace.Host.CommandLine.Values;
using TopicPartition = Confluent.Kafka.TopicPartition;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace topic lag|copy|replay</c>: what groups have still to read, and records that go from one topic to another.</summary>
internal static class TopicTransferCommands
{
    public const string RetriesHeader = "millrace.retries";
    private const string SourceTopicHeader = "millrace.source-topic";
    private const string SourcePartitionHeader = "millrace.source-partition";
    private const string ReasonHeader = "millrace.reason";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static Command Lag()
    {
        var group = new Argument<string?>("GROUP") { Description = "Only this group, by partition", Arity = ArgumentArity.ZeroOrOne };
        var most = new Option<long?>("--over") { Description = "Exit 1 when a group is further behind than so many records", HelpName = "RECORDS" };
        var command = new Command("lag", "How far consumer groups of the embedded log are behind") { group, most }.WithExamples(
            "./millrace topic lag", "./millrace topic lag my-group", "./millrace topic lag --over 100000 || notify");
        command.SetAction(async (parsed, cancellation) =>
        {
            using var client = parsed.Client();
            var groups = Rows((await client.GetAsync("/api/groups", cancellation))["groups"]).ToList();
            if (parsed.GetValue(group) is { } wanted)
            {
                groups = groups.FindAll(g => Text(g["id"]) == wanted);
                if (groups.Count == 0)
                    throw new CommandException($"there is no group '{wanted}'", "see: ./millrace topic lag", ExitCode.Usage);
            }
            if (parsed.GetValue(MillraceCommand.Json))
                Terminal.WriteJson(new JsonObject { ["groups"] = new JsonArray([.. groups.Select(g => g.DeepClone())]) });
            else if (parsed.GetValue(group) is null)
                Terminal.WriteTable(["group", "state", "members", "lag"], groups.Select(g => new[] { Text(g["id"]), Text(g["state"]), Text(g["members"]), Text(g["lag"]) }), "no groups");
            else
                Terminal.WriteTable(
                    ["topic", "partition", "committed", "end", "lag", "member"],
                    Rows(groups[0]["partitions"]).Select(p => new[]
                    {
                        Text(p["topic"]), Text(p["partition"]), Text(p["committed"]), Text(p["endOffset"]), Text(p["lag"]), Text(p["member"]),
                    }), "nothing was committed");
            return parsed.GetValue(most) is { } limit && groups.Exists(g => (g["lag"]?.GetValue<long>() ?? 0) > limit) ? ExitCode.Failure : ExitCode.Success;
        });
        return command;
    }

    public static Command Copy()
    {
        var from = new Argument<string>("FROM") { Description = "The topic to read" };
        var to = new Argument<string>("TO") { Description = "The topic to write; made as the cluster makes topics when it is absent" };
        var target = new Option<string?>("--to-brokers") { Description = "The cluster to write to, host:port,... [default: the one that is read]", HelpName = "LIST" };
        var settings = new Option<string[]>("--to-set") { Description = "A librdkafka setting for the cluster of --to-brokers, e.g. sasl.password; may be repeated", HelpName = "NAME=VALUE" };
        var last = new Option<long?>("--last", "-n") { Description = "Only so many of the newest records of each partition" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with new records until Ctrl-C" };
        var command = new Command("copy", "Copy a topic's records with keys, headers and times") { from, to, target, settings, last, follow }.WithExamples(
            "./millrace topic copy orders orders_test", "./millrace topic copy orders orders --to-brokers kafka1:9092 --follow");
        command.SetAction((parsed, cancellation) =>
        {
            var (source, destination) = (parsed.GetValue(from)!, parsed.GetValue(to)!);
            if (source == destination && parsed.GetValue(target) is null)
                throw new CommandException("a topic cannot be copied onto itself", "name another topic, or another cluster with --to-brokers", ExitCode.Usage);
            using var reader = TopicCommands.Reader(parsed);
            var starts = TopicCommands.Partitions(parsed, reader, source).ToDictionary(p => p, p =>
            {
                var (low, high) = TopicCommands.Asking(parsed, () => reader.Bounds(source, p));
                return parsed.GetValue(last) is { } count ? Math.Max(low, high - count) : low;
            });
            // The login of one cluster is not shown to another.
            var client = parsed.GetValue(target) is { } brokers
                ? new ClientConfig((parsed.GetValue(settings) ?? []).Select(TopicCommands.Pair).ToDictionary()) { BootstrapServers = brokers, ClientId = "millrace-cli" }
                : TopicCommands.Client(parsed);
            using var sender = new RecordSender(new ProducerConfig(client) { Acks = Acks.All, EnableIdempotence = true, LingerMs = 5 });
            foreach (var record in reader.Read(source, starts, parsed.GetValue(follow), cancellation))
            {
                sender.Send(new TopicPartition(destination, Partition.Any), new Message<byte[]?, byte[]?>
                {
                    Key = record.Key, Value = record.Value, Headers = HeadersOf(record.Headers), Timestamp = new Timestamp(record.TimestampMillis, TimestampType.CreateTime),
                });
            }
            sender.Flush(cancellation);
            Done(parsed, $"{sender.Acknowledged} records copied", new JsonObject { ["from"] = source, ["to"] = destination, ["copied"] = sender.Acknowledged });
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    public static Command Replay()
    {
        var name = new Argument<string>("NAME") { Description = "A topic of quarantined records, e.g. orders.quarantine" };
        var through = new Option<string?>("--through") { Description = "A shell command that repairs values: one line in, one line out; an empty line drops the record", HelpName = "COMMAND" };
        var reason = new Option<string?>("--reason") { Description = "Only records with this text among their reasons; others are passed over for good", HelpName = "TEXT" };
        var retries = new Option<int>("--max-retries") { Description = "Records that came back so often stay where they are", DefaultValueFactory = _ => 5 };
        var backoff = new Option<double>("--backoff") { Description = "Seconds that a record waits before its first replay; doubles with each", DefaultValueFactory = _ => 0, HelpName = "SECONDS" };
        var command = new Command("replay", "Send quarantined records back to where they came from, each once") { name, through, reason, retries, backoff }.WithExamples(
            "./millrace topic replay orders.quarantine", "./millrace topic replay orders.quarantine --through \"sed -u 's/,}/}/'\" --reason 'not JSON'");
        command.SetAction((parsed, cancellation) =>
        {
            var rules = new ReplayRules(parsed.GetValue(reason), parsed.GetValue(retries), TimeSpan.FromSeconds(parsed.GetValue(backoff)));
            using var repair = parsed.GetValue(through) is { } shell ? new LineFilter(shell) : null;
            var outcome = ReplayAll(parsed, parsed.GetValue(name)!, rules, repair, cancellation);
            Done(
                parsed, $"{outcome.Sent} records sent back, {outcome.Passed} passed over, {outcome.Waiting} wait",
                new JsonObject { ["topic"] = parsed.GetValue(name), ["sent"] = outcome.Sent, ["passed"] = outcome.Passed, ["waiting"] = outcome.Waiting });
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private sealed record ReplayRules(string? Reason, int MaxRetries, TimeSpan Backoff);

    /// <summary>
    /// Records and the position behind them are one transaction, so that a replay that is cut off sends nothing twice when it is run again.
    /// </summary>
    private static (long Sent, long Passed, long Waiting) ReplayAll(
        ParseResult parsed, string topic, ReplayRules rules, LineFilter? repair, CancellationToken cancellation)
    {
        var group = "millrace-replay." + topic;
        var client = TopicCommands.Client(parsed);
        using var reader = TopicCommands.Reader(parsed);
        using var consumer = new ConsumerBuilder<Ignore, Ignore>(new ConsumerConfig(client) { GroupId = group }).SetLogHandler((_, _) => { }).Build();
        using var producer = new ProducerBuilder<byte[]?, byte[]?>(new ProducerConfig(client) { TransactionalId = group, LingerMs = 5 }).SetLogHandler((_, _) => { }).Build();
        var partitions = TopicCommands.Partitions(parsed, reader, topic);
        // First of all: whoever else replays the same topic is fenced, and its open transaction ended, before positions are read.
        producer.InitTransactions(Patience);
        var starts = TopicCommands.Asking(parsed, () => reader.Committed(group, topic, partitions)).ToDictionary(
            p => p.Key, p => Math.Max(p.Value, TopicCommands.Asking(parsed, () => reader.Bounds(topic, p.Key)).Low));
        long sent = 0, passed = 0, waiting = 0;
        var held = new HashSet<int>();
        var pending = new List<(TopicPartition, Message<byte[]?, byte[]?>)>();
        var positions = new Dictionary<int, long>();
        foreach (var record in reader.Read(topic, starts, follow: false, cancellation))
        {
            if (held.Contains(record.Partition) || !IsDue(record, rules))
            {
                // What stands behind a record that waits, waits too: positions only move on.
                held.Add(record.Partition);
                waiting++;
                continue;
            }
            positions[record.Partition] = record.Offset + 1;
            if (Prepare(record, topic, rules, repair) is { } message)
            {
                pending.Add(message);
                sent++;
            }
            else
            {
                passed++;
            }
            if (pending.Count >= 500)
                Commit(producer, consumer, topic, pending, positions);
        }
        Commit(producer, consumer, topic, pending, positions);
        return (sent, passed, waiting);
    }

    private static bool IsDue(TopicRecord record, ReplayRules rules)
    {
        var wait = rules.Backoff * Math.Pow(2, Math.Min(Retries(record), 30));
        return TimeProvider.System.GetUtcNow() - DateTimeOffset.FromUnixTimeMilliseconds(record.TimestampMillis) >= wait;
    }

    /// <summary>What is sent for a quarantined record, or null when it is passed over.</summary>
    private static (TopicPartition, Message<byte[]?, byte[]?>)? Prepare(TopicRecord record, string topic, ReplayRules rules, LineFilter? repair)
    {
        if (Header(record, SourceTopicHeader) is not { } source)
            throw new CommandException($"record {record.Offset} of {topic}-{record.Partition} does not say where it came from", $"only quarantined records have the header {SourceTopicHeader}", ExitCode.Usage);
        var retries = Retries(record);
        if (retries >= rules.MaxRetries)
            return null;
        if (rules.Reason is { } wanted && !record.Headers.Any(h => h.Key == ReasonHeader && Encoding.UTF8.GetString(h.Value).Contains(wanted, StringComparison.OrdinalIgnoreCase)))
            return null;
        var value = record.Value;
        if (repair is not null && value is not null)
        {
            value = repair.Apply(value);
            if (value.Length == 0)
                return null;
        }
        var headers = new Headers { { RetriesHeader, Encoding.UTF8.GetBytes((retries + 1).ToString(CultureInfo.InvariantCulture)) } };
        var partition = record.Key is null && int.TryParse(Header(record, SourcePartitionHeader), CultureInfo.InvariantCulture, out var own) ? new Partition(own) : Partition.Any;
        return (new TopicPartition(source, partition), new Message<byte[]?, byte[]?> { Key = record.Key, Value = value, Headers = headers });
    }

    private static void Commit(
        IProducer<byte[]?, byte[]?> producer, IConsumer<Ignore, Ignore> consumer, string topic, List<(TopicPartition Place, Message<byte[]?, byte[]?> Message)> pending,
        Dictionary<int, long> positions)
    {
        if (positions.Count == 0)
            return;
        producer.BeginTransaction();
        foreach (var (place, message) in pending)
            producer.Produce(place, message);
        producer.SendOffsetsToTransaction(positions.Select(p => new TopicPartitionOffset(topic, p.Key, p.Value)), consumer.ConsumerGroupMetadata, Patience);
        producer.CommitTransaction(Patience);
        pending.Clear();
        positions.Clear();
    }

    private static int Retries(TopicRecord record) => int.TryParse(Header(record, RetriesHeader), CultureInfo.InvariantCulture, out var retries) ? retries : 0;

    private static string? Header(TopicRecord record, string name)
    {
        foreach (var header in record.Headers)
        {
            if (header.Key == name)
                return Encoding.UTF8.GetString(header.Value);
        }
        return null;
    }

    private static Headers HeadersOf(IReadOnlyList<KeyValuePair<string, byte[]>> from)
    {
        var headers = new Headers();
        foreach (var (key, value) in from)
            headers.Add(key, value);
        return headers;
    }
}

/// <summary>Sends records and remembers the first failure.</summary>
internal sealed class RecordSender(ProducerConfig config) : IDisposable
{
    private readonly IProducer<byte[]?, byte[]?> _producer = new ProducerBuilder<byte[]?, byte[]?>(config).SetLogHandler((_, _) => { }).Build();
    private long _acknowledged;
    private string? _failure;

    public long Acknowledged => Interlocked.Read(ref _acknowledged);

    public void Send(TopicPartition place, Message<byte[]?, byte[]?> message)
    {
        while (true)
        {
            try
            {
                _producer.Produce(place, message, report =>
                {
                    if (report.Error.IsError)
                        _failure ??= report.Error.Reason;
                    else
                        Interlocked.Increment(ref _acknowledged);
                });
                return;
            }
            catch (ProduceException<byte[]?, byte[]?> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
            {
                _producer.Flush(TimeSpan.FromSeconds(1));
            }
        }
    }

    /// <exception cref="CommandException">A record was not acknowledged.</exception>
    public void Flush(CancellationToken cancellation)
    {
        _producer.Flush(cancellation);
        if (_failure is not null)
            throw new CommandException($"{Acknowledged} records were acknowledged, then: {_failure}", "see: ./millrace doctor");
    }

    public void Dispose() => _producer.Dispose();
}

/// <summary>A shell command through which values go, line by line.</summary>
internal sealed class LineFilter : IDisposable
{
    private readonly Process _process;
    private readonly string _command;

    public LineFilter(string command)
    {
        _command = command;
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardInput = true, RedirectStandardOutput = true, UseShellExecute = false };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(command);
        _process = Process.Start(start)!;
    }

    /// <exception cref="CommandException">The value is not one line, or the command ended or stays silent.</exception>
    public byte[] Apply(byte[] value)
    {
        if (value.AsSpan().Contains((byte)'\n'))
            throw new CommandException("a value of several lines cannot go through a line filter", "replay it without --through, or repair it with another tool", ExitCode.Usage);
        var input = _process.StandardInput.BaseStream;
        input.Write(value);
        input.Write("\n"u8);
        input.Flush();
        var line = _process.StandardOutput.ReadLineAsync();
        if (!line.Wait(TimeSpan.FromSeconds(10)) || line.Result is not { } repaired)
            throw new CommandException($"'{_command}' gave no line back", "it must answer each line at once: sed needs -u, jq --unbuffered", ExitCode.Usage);
        return Encoding.UTF8.GetBytes(repaired);
    }

    public void Dispose()
    {
        _process.StandardInput.Close();
        if (!_process.WaitForExit(TimeSpan.FromSeconds(5)))
            _process.Kill();
        _process.Dispose();
    }
}
