using System.Text;
using Microsoft.AspNetCore.Http;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;

namespace Millrace.WebConsole.Http;

internal sealed class TopicRoutes(ConsoleServices services, ConsoleOptions options)
{
    private const string Tag = "topics";

    private static readonly TextParameter Name = new("name", ParameterPlace.Path, "the topic's name");
    private static readonly IntegerParameter Partition = new("partition", ParameterPlace.Query, "the partition", 0, 0, int.MaxValue);
    private static readonly IntegerParameter Offset = new(
        "offset", ParameterPlace.Query, "first offset; a negative one counts back from the end", -20, long.MinValue, long.MaxValue);

    private static readonly IntegerParameter Limit = new("limit", ParameterPlace.Query, "records at most", 20, 1, 1000);
    private static readonly Answer NoTopic = Answer.Problem(404, "no such topic");
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    public IReadOnlyList<Route> All() =>
    [
        new("GET", "/api/topics", Tag, "listTopics", "Topics of the embedded log")
        {
            Answers = [new(200, "every topic", Type: ConsoleJson.Relaxed.TopicList)],
            Serve = context => Replies.JsonAsync(context, new TopicList(services.Topics.List()), ConsoleJson.Relaxed.TopicList),
        },
        new("POST", "/api/topics", Tag, "createTopic", "Create a topic")
        {
            Body = new("name, partitions and configuration", ["application/json"], ConsoleJson.Relaxed.TopicRequest,
                """{"name": "orders", "partitions": 3}"""),
            Answers =
            [
                new(201, "the topic", Type: ConsoleJson.Relaxed.TopicInfo), Answer.Problem(400, "a bad name or configuration"),
                Answer.Problem(409, "a topic of that name is there"),
            ],
            Serve = async context =>
            {
                var topic = await services.Topics.CreateAsync(
                    await Replies.ReadJsonAsync(context, ConsoleJson.Relaxed.TopicRequest), context.RequestAborted);
                context.Response.Headers.Location = $"/api/topics/{Uri.EscapeDataString(topic.Name)}";
                await Replies.JsonAsync(context, topic, ConsoleJson.Relaxed.TopicInfo, 201);
            },
        },
        new("GET", "/api/topics/{name}", Tag, "getTopic", "One topic with its partitions")
        {
            Parameters = [Name],
            Answers = [new(200, "the topic", Type: ConsoleJson.Relaxed.TopicInfo), NoTopic],
            Serve = context => Replies.JsonAsync(context, Find(context), ConsoleJson.Relaxed.TopicInfo),
        },
        new("DELETE", "/api/topics/{name}", Tag, "deleteTopic", "Delete a topic with its records")
        {
            Parameters = [Name],
            Answers = [new(204, "gone", null), NoTopic],
            Serve = async context =>
            {
                await services.Topics.DeleteAsync(Find(context).Name, context.RequestAborted);
                context.Response.StatusCode = 204;
            },
        },
        new("GET", "/api/topics/{name}/records", Tag, "listRecords", "Records of one partition")
        {
            Parameters = [Name, Partition, Offset, Limit],
            Answers = [new(200, "records in order of offset", Type: ConsoleJson.Relaxed.RecordPage), NoTopic],
            Serve = RecordsAsync,
        },
        new("GET", "/api/groups", Tag, "listGroups", "Consumer groups and their lag")
        {
            Answers = [new(200, "every group", Type: ConsoleJson.Relaxed.GroupList)],
            Serve = context => Replies.JsonAsync(context, new GroupList(services.Topics.Groups()), ConsoleJson.Relaxed.GroupList),
        },
    ];

    private TopicInfo Find(HttpContext context)
    {
        var name = Name.Read(context);
        return services.Topics.Find(name)
            ?? throw new ConsoleException(404, "No such topic", $"no topic is named '{name}'", $"create it: ./millrace topic create {name}");
    }

    private async Task RecordsAsync(HttpContext context)
    {
        var topic = Find(context);
        var partition = (int)Partition.Read(context);
        if (topic.Partitions.FirstOrDefault(p => p.Partition == partition) is not { } info)
        {
            throw new ConsoleException(
                404, "No such partition", $"topic '{topic.Name}' has no partition {partition}", $"it has 0 to {topic.Partitions.Count - 1}");
        }
        var records = await services.Topics.ReadAsync(
            topic.Name, partition, Offset.Read(context), (int)Limit.Read(context), context.RequestAborted);
        await Replies.JsonAsync(
            context, new RecordPage(topic.Name, partition, info.StartOffset, info.EndOffset, [.. records.Select(Describe)]),
            ConsoleJson.Relaxed.RecordPage);
    }

    private RecordInfo Describe(TopicRecord record)
    {
        var (value, encoding, cut) = Text(record.Value);
        var headers = new Dictionary<string, string?>();
        foreach (var (name, content) in record.Headers)
            headers[name] = Text(content).Text;
        return new RecordInfo(
            record.Offset, record.Timestamp, Text(record.Key).Text, value, encoding, record.Value?.Length ?? 0, cut, headers);
    }

    private (string? Text, string Encoding, bool Cut) Text(byte[]? bytes)
    {
        if (bytes is null)
            return (null, "null", false);
        var shown = bytes.AsSpan(0, Math.Min(bytes.Length, options.MaxValueBytes));
        var cut = shown.Length < bytes.Length;
        // A cut may fall into a character; step back to its start.
        while (cut && shown.Length > 0 && (bytes[shown.Length] & 0xC0) == 0x80)
            shown = shown[..^1];
        try
        {
            return (StrictUtf8.GetString(shown), "text", cut);
        }
        catch (DecoderFallbackException)
        {
            return (Convert.ToBase64String(shown), "base64", cut);
        }
    }
}
