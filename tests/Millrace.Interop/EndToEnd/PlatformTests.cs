using Millrace.Bench.Running;

namespace Millrace.Interop.EndToEnd;

/// <summary>Tests against a platform in a process and a folder of its own, new for each test.</summary>
public abstract class PlatformTests : IAsyncLifetime
{
    protected PlatformTests() => Platform = PlatformProcess.Create(Folder);

    protected string Folder { get; } = Directory.CreateTempSubdirectory("millrace-platform-").FullName;

    protected PlatformProcess Platform { get; }

    public virtual async Task InitializeAsync() => await Platform.StartAsync(CancellationToken.None);

    public virtual async Task DisposeAsync()
    {
        await Platform.DisposeAsync();
        Directory.Delete(Folder, recursive: true);
    }
}
