using System.IO.Compression;
using System.Net;
using Millrace.WebConsole;

namespace Millrace.Tests.WebConsole;

public sealed class PagesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-console-").FullName;

    public PagesTests()
    {
        Directory.CreateDirectory(Path.Combine(_folder, "assets"));
        File.WriteAllText(Path.Combine(_folder, "index.html"), "<!doctype html><title>Millrace</title>" + new string(' ', 1000));
        File.WriteAllText(Path.Combine(_folder, "assets", "console.js"), "console.log('" + new string('x', 1000) + "')");
        using var brotli = new BrotliStream(File.Create(Path.Combine(_folder, "assets", "console.js.br")), CompressionLevel.Fastest);
        brotli.Write(File.ReadAllBytes(Path.Combine(_folder, "assets", "console.js")));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("br, gzip", "br")]
    [InlineData("gzip", "gzip")]
    [InlineData("identity", null)]
    public async Task Files_go_out_compressed_as_the_browser_asks(string accepted, string? expected)
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { Pages = _folder });
        using var request = new HttpRequestMessage(HttpMethod.Get, "/assets/console.js");
        request.Headers.Add("Accept-Encoding", accepted);
        using var response = await console.Client.SendAsync(request);
        Assert.Equal(expected, response.Content.Headers.ContentEncoding.SingleOrDefault());
        Assert.Equal("text/javascript", response.Content.Headers.ContentType?.MediaType);
        using var body = await response.Content.ReadAsStreamAsync();
        using Stream plain = expected switch
        {
            "br" => new BrotliStream(body, CompressionMode.Decompress), "gzip" => new GZipStream(body, CompressionMode.Decompress), _ => body,
        };
        Assert.Equal(File.ReadAllText(Path.Combine(_folder, "assets", "console.js")), await new StreamReader(plain).ReadToEndAsync());
    }

    [Fact]
    public async Task A_page_that_the_browser_has_is_not_sent_again()
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { Pages = _folder });
        using var first = await console.Client.GetAsync("/");
        Assert.Equal("no-cache", first.Headers.CacheControl?.ToString());
        using var request = new HttpRequestMessage(HttpMethod.Get, "/");
        request.Headers.IfNoneMatch.Add(first.Headers.ETag!);
        using var second = await console.Client.SendAsync(request);
        Assert.Equal(HttpStatusCode.NotModified, second.StatusCode);
    }

    [Fact]
    public async Task Nothing_outside_the_folder_is_served()
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { Pages = _folder });
        foreach (var path in new[] { "/../secret", "/%2e%2e/secret", "/assets/..%2f..%2fetc/passwd", "/assets/console.js.br" })
            Assert.Equal(404, (await console.SendAsync("GET", path)).Status);
    }

    [Fact]
    public async Task Without_a_built_page_the_root_says_how_to_build_it()
    {
        await using var console = await ConsoleFixture.StartAsync(new ConsoleOptions { Pages = Path.Combine(_folder, "none") });
        Assert.Contains("npm run build", await console.Client.GetStringAsync("/"));
    }
}
