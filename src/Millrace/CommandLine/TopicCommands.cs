using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Confluent.Kafka;
using Confluent.Kafka.Admin;
using Millrace.Kafka.Clients;
using Millrace.Schemas;
using static Millrace.Host.CommandLine.Values;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace topic list|create|delete|show|tail|produce|lag|copy|replay</c>, by the Kafka protocol: any cluster will do (<c>--brokers</c>).</summary>
internal static class TopicCommands
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        var topic = new Command("topic", "Topics of the embedded log, or of any Kafka cluster with --brokers");
        topic.Subcommands.Add(List());
        topic.Subcommands.Add(CreateTopic());
        topic.Subcommands.Add(Delete());
        topic.Subcommands.Add(Show());
        topic.Subcommands.Add(Tail());
        topic.Subcommands.Add(Produce());
        topic.Subcommands.Add(TopicTransferCommands.Lag());
        topic.Subcommands.Add(TopicTransferCommands.Copy());
        topic.Subcommands.Add(TopicTransferCommands.Replay());
        return topic;
    }

    private static Command List()
    {
        var command = new Command("list", "List topics").WithExamples("./millrace topic list", "./millrace topic list --brokers kafka1:9092");
        command.SetAction(parsed =>
        {
            using var reader = Reader(parsed);
            var topics = Asking(parsed, reader.Topics).OrderBy(t => t.Key, StringComparer.Ordinal).ToList();
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(new JsonObject
                {
                    ["topics"] = new JsonArray([.. topics.Select(t => new JsonObject { ["name"] = t.Key, ["partitions"] = t.Value.Count })]),
                });
                return;
            }
            Terminal.WriteTable(
                ["topic", "partitions"], topics.Select(t => new[] { t.Key, t.Value.Count.ToString(CultureInfo.InvariantCulture) }),
                "no topics; make one with: ./millrace topic create NAME");
        });
        return command;
    }

    private static Command CreateTopic()
    {
        var name = new Argument<string>("NAME") { Description = "The topic's name" };
        var partitions = new Option<int>("--partitions", "-p") { Description = "Partitions", DefaultValueFactory = _ => 3 };
        var settings = new Option<string[]>("--set") { Description = "A topic setting, name=value; may be repeated", HelpName = "NAME=VALUE" };
        var iceberg = new Option<string?>("--iceberg") { Description = "Let its records land in this Iceberg table by themselves", HelpName = "NAMESPACE.TABLE" };
        var command = new Command("create", "Create a topic") { name, partitions, settings, iceberg }.WithExamples(
            "./millrace topic create orders --partitions 6", "./millrace topic create orders --set retention.ms=86400000",
            "./millrace topic create orders --iceberg shop.orders");
        command.SetAction(async (parsed, _) =>
        {
            using var admin = Admin(parsed);
            var topic = new TopicSpecification
            {
                Name = parsed.GetValue(name), NumPartitions = parsed.GetValue(partitions), ReplicationFactor = -1,
                Configs = (parsed.GetValue(settings) ?? []).Select(Pair).ToDictionary(),
            };
            if (parsed.GetValue(iceberg) is { } table)
                topic.Configs["millrace.iceberg.table"] = table;
            try
            {
                await admin.CreateTopicsAsync([topic]);
            }
            catch (CreateTopicsException failure)
            {
                throw new CommandException(failure.Results[0].Error.Reason, null, ExitCode.Usage);
            }
            Done(parsed, $"topic {topic.Name} created", new JsonObject { ["topic"] = topic.Name, ["partitions"] = topic.NumPartitions });
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Delete()
    {
        var name = NameArgument();
        var command = new Command("delete", "Delete a topic with its records") { name }.WithExamples("./millrace topic delete orders");
        command.SetAction(async (parsed, _) =>
        {
            using var admin = Admin(parsed);
            var topic = parsed.GetValue(name)!;
            try
            {
                await admin.DeleteTopicsAsync([topic]);
            }
            catch (DeleteTopicsException failure)
            {
                throw new CommandException(failure.Results[0].Error.Reason, "see: ./millrace topic list", ExitCode.Usage);
            }
            Done(parsed, $"topic {topic} deleted", new JsonObject { ["topic"] = topic, ["deleted"] = true });
            return ExitCode.Success;
        });
        return command;
    }

    private static Command Show()
    {
        var name = NameArgument();
        var command = new Command("show", "Partitions with their offsets") { name }.WithExamples("./millrace topic show orders");
        command.SetAction(parsed =>
        {
            var topic = parsed.GetValue(name)!;
            using var reader = Reader(parsed);
            var rows = Partitions(parsed, reader, topic).Select(p => (Partition: p, Offsets: Asking(parsed, () => reader.Bounds(topic, p)))).ToList();
            if (parsed.GetValue(MillraceCommand.Json))
            {
                Terminal.WriteJson(new JsonObject
                {
                    ["name"] = topic,
                    ["partitions"] = new JsonArray([.. rows.Select(r => new JsonObject
                    {
                        ["partition"] = r.Partition, ["startOffset"] = r.Offsets.Low, ["endOffset"] = r.Offsets.High,
                    })]),
                });
                return;
            }
            Terminal.WriteTable(
                ["partition", "start offset", "end offset", "records"],
                rows.Select(r => new[]
                {
                    r.Partition.ToString(CultureInfo.InvariantCulture), r.Offsets.Low.ToString(CultureInfo.InvariantCulture),
                    r.Offsets.High.ToString(CultureInfo.InvariantCulture),
                    (r.Offsets.High - r.Offsets.Low).ToString(CultureInfo.InvariantCulture),
                }), "no partitions");
        });
        return command;
    }

    private static Command Tail()
    {
        var name = NameArgument();
        var count = new Option<int>("--last", "-n") { Description = "Begin with so many of the newest records of each partition", DefaultValueFactory = _ => 10 };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with new records until Ctrl-C" };
        var decode = new Option<bool>("--decode") { Description = "Show values that were written with a registered schema (Avro as JSON)" };
        var command = new Command("tail", "Print the newest records") { name, count, follow, decode }.WithExamples(
            "./millrace topic tail orders", "./millrace topic tail orders --decode", "./millrace topic tail orders.quarantine -f --json | jq .headers");
        command.SetAction((parsed, cancellation) =>
        {
            var topic = parsed.GetValue(name)!;
            using var reader = Reader(parsed);
            var starts = Partitions(parsed, reader, topic).ToDictionary(p => p, p =>
            {
                var (low, high) = Asking(parsed, () => reader.Bounds(topic, p));
                return Math.Max(low, high - parsed.GetValue(count));
            });
            using var decoder = parsed.GetValue(decode) ? new ValueDecoder(SchemaCommands.Address(parsed)) : null;
            foreach (var record in reader.Read(topic, starts, parsed.GetValue(follow), cancellation))
                Print(parsed, record, record.Value is null ? null : decoder?.Text(record.Value) ?? Encoding.UTF8.GetString(record.Value));
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static Command Produce()
    {
        var name = NameArgument();
        var key = new Option<string?>("--key-separator", "-K") { Description = "Split each line into key and value at this text", HelpName = "TEXT" };
        var avro = new Option<string?>("--avro")
        {
            Description = "Send the records of an Avro file instead; its schema is registered as NAME-value", HelpName = "FILE",
        };
        var command = new Command("produce", "Send the lines of standard input as records") { name, key, avro }.WithExamples(
            "echo '{\"order_id\": 1}' | ./millrace topic produce orders", "./millrace topic produce orders < orders.jsonl",
            "./millrace topic produce orders --avro orders.avro");
        command.SetAction(async (parsed, cancellation) =>
        {
            var topic = parsed.GetValue(name)!;
            var separator = parsed.GetValue(key);
            var sent = 0L;
            string? failure = null;
            using var producer = new ProducerBuilder<byte[]?, byte[]>(
                new ProducerConfig(Client(parsed)) { Acks = Acks.All, EnableIdempotence = true, LingerMs = 5 }).SetLogHandler((_, _) => { }).Build();
            var messages = parsed.GetValue(avro) is { } file ? AvroRecords(parsed, file, topic) : Lines(separator, cancellation);
            await foreach (var message in messages)
            {
                while (true)
                {
                    try
                    {
                        producer.Produce(topic, message, report =>
                        {
                            if (report.Error.IsError)
                                failure ??= report.Error.Reason;
                            else
                                Interlocked.Increment(ref sent);
                        });
                        break;
                    }
                    catch (ProduceException<byte[]?, byte[]> full) when (full.Error.Code == ErrorCode.Local_QueueFull)
                    {
                        producer.Flush(TimeSpan.FromSeconds(1));
                    }
                }
            }
            producer.Flush(cancellation);
            if (failure is not null)
                throw new CommandException($"{sent} records were acknowledged, then: {failure}", "see: ./millrace doctor");
            Done(parsed, $"{sent} records acknowledged", new JsonObject { ["topic"] = topic, ["acknowledged"] = sent });
            return ExitCode.Success;
        });
        return command;
    }

    private static async IAsyncEnumerable<Message<byte[]?, byte[]>> Lines(
        string? separator, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        while (await Console.In.ReadLineAsync(cancellation) is { } line)
        {
            var cut = separator is { Length: > 0 } ? line.IndexOf(separator, StringComparison.Ordinal) : -1;
            yield return new Message<byte[]?, byte[]>
            {
                Key = cut >= 0 ? Encoding.UTF8.GetBytes(line[..cut]) : null,
                Value = Encoding.UTF8.GetBytes(cut >= 0 ? line[(cut + separator!.Length)..] : line),
            };
        }
    }

    private static async IAsyncEnumerable<Message<byte[]?, byte[]>> AvroRecords(ParseResult parsed, string file, string topic)
    {
        using var registry = SchemaCommands.Client(parsed);
        var records = await Task.Run(() => AvroFileRecords.Open(file, registry, topic + "-value"));
        foreach (var record in records.Framed())
            yield return new Message<byte[]?, byte[]> { Value = record };
    }

    private static void Print(ParseResult parsed, TopicRecord record, string? value)
    {
        if (!parsed.GetValue(MillraceCommand.Json))
        {
            Console.Out.WriteLine(value ?? "");
            return;
        }
        var headers = new JsonObject();
        // A header that comes more than once (a quarantined row's reasons) is a list.
        foreach (var header in record.Headers.GroupBy(h => h.Key, h => Encoding.UTF8.GetString(h.Value), StringComparer.Ordinal))
        {
            var values = header.ToArray();
            headers[header.Key] = values.Length == 1 ? values[0] : new JsonArray([.. values.Select(v => (JsonNode)v)]);
        }
        Console.Out.WriteLine(new JsonObject
        {
            ["partition"] = record.Partition,
            ["offset"] = record.Offset,
            ["timestamp"] = DateTimeOffset.FromUnixTimeMilliseconds(record.TimestampMillis).ToString("O", CultureInfo.InvariantCulture),
            ["key"] = record.Key is { } key ? Encoding.UTF8.GetString(key) : null,
            ["value"] = value,
            ["headers"] = headers,
        }.ToJsonString());
    }

    private static Argument<string> NameArgument()
    {
        var name = new Argument<string>("NAME") { Description = "The topic's name" };
        name.CompletionSources.Add(context => CompletionCommand.Names(context.ParseResult, "/api/topics", "topics", t => Text(t["name"])));
        return name;
    }

    /// <summary>How many partitions a topic has.</summary>
    /// <exception cref="CommandException">No such topic, or no cluster answers.</exception>
    public static int PartitionCount(ParseResult parsed, string topic)
    {
        using var reader = Reader(parsed);
        return Partitions(parsed, reader, topic).Count;
    }

    public static IReadOnlyList<int> Partitions(ParseResult parsed, TopicReader reader, string topic) =>
        Asking(parsed, () => reader.Partitions(topic)) ?? throw new CommandException($"there is no topic '{topic}'", "see: ./millrace topic list", ExitCode.Usage);

    public static TopicReader Reader(ParseResult parsed) => new(parsed.Settings().BrokersOrOwn, Patience, TimeProvider.System, parsed.Settings().Client);

    private static IAdminClient Admin(ParseResult parsed) => new AdminClientBuilder(Client(parsed)).SetLogHandler((_, _) => { }).Build();

    public static ClientConfig Client(ParseResult parsed)
    {
        KafkaLibraries.EnsureReady();
        return new ClientConfig(parsed.Settings().Client.ToDictionary()) { BootstrapServers = parsed.Settings().BrokersOrOwn, ClientId = "millrace-cli", SocketTimeoutMs = 10_000 };
    }

    public static T Asking<T>(ParseResult parsed, Func<T> ask)
    {
        try
        {
            return ask();
        }
        catch (KafkaClientException failure)
        {
            throw new CommandException(
                failure.Message, "start the platform with: ./millrace up, or name another cluster with --brokers",
                ExitCode.Unreachable);
        }
    }

    public static KeyValuePair<string, string> Pair(string setting)
    {
        var cut = setting.IndexOf('=');
        return cut > 0
            ? new(setting[..cut], setting[(cut + 1)..])
            : throw new CommandException($"'{setting}' is no setting", "write name=value, e.g. --set retention.ms=86400000", ExitCode.Usage);
    }
}
