using Millrace.Schemas;

namespace Millrace.Tests.WebConsole.Fakes;

/// <summary>A registry's log that keeps nothing: the registry itself remembers.</summary>
internal sealed class FakeSchemaLog : ISchemaLog
{
    public void ReadAll(Action<SchemaRecord> seen)
    {
    }

    public Task AppendAsync(IReadOnlyList<SchemaRecord> records) => Task.CompletedTask;
}
