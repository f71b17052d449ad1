using Millrace.Log;
using Millrace.Schemas;

namespace Millrace.Host.Platform.Seams;

/// <summary>The registry's state in a topic of the embedded log.</summary>
internal sealed class SchemaLog(StateTopic topic) : ISchemaLog
{
    public void ReadAll(Action<SchemaRecord> seen) => topic.ReadAll((key, value) => seen(new SchemaRecord(key, value)));

    public Task AppendAsync(IReadOnlyList<SchemaRecord> records) =>
        topic.AppendAsync([.. records.Select(r => new KeyValuePair<byte[], byte[]?>(r.Key, r.Value))]);
}
