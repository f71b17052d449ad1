using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Millrace.Host.Demo;

namespace Millrace.Host.CommandLine;

/// <summary><c>millrace replay</c>: the example data as a load, in a process of its own.</summary>
internal static class ReplayCommand
{
    public static Command Create()
    {
        var topic = new Argument<string>("TOPIC") { Description = "Where to send" };
        var file = new Option<string?>("--file") { Description = "JSON lines, gzip [default: the example data]" };
        var rate = new Option<double>("--rate") { Description = "Events a second; 0 for full speed", DefaultValueFactory = _ => 1_000_000 / 60.0 };
        var count = new Option<long?>("--count") { Description = "Events to send [default: until Ctrl-C]" };
        var first = new Option<long>("--first") { Description = "Index of the first event" };
        var start = new Option<long?>("--start") { Description = "Event time of event 0, milliseconds since 1970 [default: now]" };
        var pace = new Option<double?>("--event-rate") { Description = "Events a second of event time [default: as --rate]" };
        var bad = new Option<int>("--bad-every") { Description = "One event of so many is bad on purpose; 0 for none", DefaultValueFactory = _ => 200 };
        var samples = new Option<string?>("--samples") { Description = "Write partition, offset and time of sending of one event in 100 to this file" };
        var linger = new Option<double>("--linger") { Description = "Milliseconds that the client gathers records", DefaultValueFactory = _ => 5 };
        var attached = new Option<bool>("--attached") { Description = "End when standard input closes" };
        var command = new Command("replay", "Send the example data to a topic as a load, with event times moved to now")
        {
            topic, file, rate, count, first, start, pace, bad, samples, linger, attached,
        }.WithExamples("./millrace replay orders", "./millrace replay orders --rate 0 --count 1000000 --json");
        command.SetAction(async (parsed, cancellation) =>
        {
            var time = TimeProvider.System;
            var settings = parsed.Settings();
            var perSecond = parsed.GetValue(rate);
            var startMillis = parsed.GetValue(start) ?? time.GetUtcNow().ToUnixTimeMilliseconds();
            var replay = RetailReplay.Load(
                parsed.GetValue(file) ?? ExampleData.File, startMillis, parsed.GetValue(pace) ?? (perSecond > 0 ? perSecond : 1_000_000 / 60.0),
                parsed.GetValue(bad));
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            if (parsed.GetValue(attached))
                WatchInput(stop);
            var channel = parsed.GetValue(samples) is null ? null : Channel.CreateUnbounded<SendSample>();
            var producer = new ReplayProducer(replay, new ReplayOptions(
                settings.BrokersOrOwn, parsed.GetValue(topic)!, TopicCommands.PartitionCount(parsed, parsed.GetValue(topic)!), perSecond,
                parsed.GetValue(count) ?? long.MaxValue, channel is null ? 0 : 100, parsed.GetValue(linger), FirstIndex: parsed.GetValue(first)));
            var writing = channel is null ? Task.CompletedTask : WriteAsync(channel.Reader, parsed.GetValue(samples)!);
            await producer.RunAsync(time, channel?.Writer, stop.Token);
            channel?.Writer.Complete();
            await writing;
            if (producer.Failure is { } failure)
                throw new CommandException($"{producer.Acknowledged} events were acknowledged, then: {failure}");
            Values.Done(parsed, $"{producer.Acknowledged} events acknowledged", new JsonObject
            {
                ["sent"] = producer.Sent, ["acknowledged"] = producer.Acknowledged, ["start"] = startMillis,
            });
            return ExitCode.Success;
        });
        return command;
    }

    /// <summary>Cancels at the end of standard input. Reads on a thread of its own: the console's reader blocks even in its asynchronous calls.</summary>
    private static void WatchInput(CancellationTokenSource stop) => new Thread(() =>
    {
        while (Console.In.ReadLine() is not null)
        {
        }
        try
        {
            stop.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // The replay ended by itself meanwhile.
        }
    })
    {
        IsBackground = true, Name = "standard input",
    }.Start();

    private static async Task WriteAsync(ChannelReader<SendSample> samples, string file)
    {
        await using var writer = new StreamWriter(file);
        await foreach (var sample in samples.ReadAllAsync())
            await writer.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{sample.Partition} {sample.Offset} {sample.Micros}"));
    }
}
