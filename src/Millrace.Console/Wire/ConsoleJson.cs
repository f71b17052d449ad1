using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Millrace.WebConsole.Wire;

/// <summary>Everything that travels as JSON, generated at build time. Absent means null; nulls are written.</summary>
[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Web, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true,
    NumberHandling = JsonNumberHandling.Strict, MaxDepth = 32)]
[JsonSerializable(typeof(StatusInfo))]
[JsonSerializable(typeof(Health))]
[JsonSerializable(typeof(HistoryInfo))]
[JsonSerializable(typeof(Problem))]
[JsonSerializable(typeof(OverviewFrame))]
[JsonSerializable(typeof(OutputFrame))]
[JsonSerializable(typeof(JobList))]
[JsonSerializable(typeof(JobDetail))]
[JsonSerializable(typeof(JobInfo[]))]
[JsonSerializable(typeof(LintAnswer))]
[JsonSerializable(typeof(SubmitReply))]
[JsonSerializable(typeof(QuarantinePage))]
[JsonSerializable(typeof(LiveOutput))]
[JsonSerializable(typeof(SqlRequest))]
[JsonSerializable(typeof(SqlReply))]
[JsonSerializable(typeof(TopicList))]
[JsonSerializable(typeof(TopicRequest))]
[JsonSerializable(typeof(UserList))]
[JsonSerializable(typeof(UserRequest))]
[JsonSerializable(typeof(RecordPage))]
[JsonSerializable(typeof(GroupList))]
[JsonSerializable(typeof(TableList))]
[JsonSerializable(typeof(TableDetail))]
[JsonSerializable(typeof(ClusterInfo))]
[JsonSerializable(typeof(SessionsInfo))]
[JsonSerializable(typeof(SessionInfo))]
[JsonSerializable(typeof(SessionRequest))]
[JsonSerializable(typeof(SessionWritten))]
[JsonSerializable(typeof(UpkeepReply))]
internal sealed partial class ConsoleJson : JsonSerializerContext
{
    /// <summary>
    /// Quotes, accents and angle brackets stay readable: what is written goes out as JSON with <c>nosniff</c>, never into a page's markup.
    /// </summary>
    // Made on first use: the generated half of this class may be initialized after this one.
    public static ConsoleJson Relaxed => s_relaxed ??= new(
        new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    private static ConsoleJson? s_relaxed;

    /// <summary>For writers that build JSON by hand; what they write is well formed by construction.</summary>
    public static JsonWriterOptions Writer { get; } = new() { SkipValidation = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
