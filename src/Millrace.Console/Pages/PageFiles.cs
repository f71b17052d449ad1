using System.IO.Compression;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;

namespace Millrace.WebConsole.Pages;

/// <summary>
/// The built page, read once into memory with its compressed twins (<c>.br</c>, <c>.gz</c> from the build; gzip is made here where they are
/// missing). A browser asks for each file by its ETag.
/// </summary>
internal sealed class PageFiles
{
    private readonly Dictionary<string, PageFile> _files = new(StringComparer.Ordinal);

    private PageFiles()
    {
    }

    /// <summary>True when a built page was found; otherwise a page that says how to build it is served.</summary>
    public bool Built { get; private init; }

    /// <param name="folder">Null looks at MILLRACE_CONSOLE, then for <c>wwwroot</c> beside the assembly.</param>
    public static PageFiles Load(string? folder)
    {
        folder ??= Environment.GetEnvironmentVariable("MILLRACE_CONSOLE") is { Length: > 0 } named
            ? named
            : Path.Combine(AppContext.BaseDirectory, "wwwroot");
        var built = File.Exists(Path.Combine(folder, "index.html"));
        var pages = new PageFiles { Built = built };
        pages.Add("/reference.css", Resource("reference.css"), null, null);
        if (!built)
        {
            pages.Add("/", Resource("unbuilt.html"), null, null, "text/html; charset=utf-8");
            return pages;
        }
        foreach (var path in Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories))
        {
            if (Path.GetFileName(path).StartsWith('.') || path.EndsWith(".br", StringComparison.Ordinal) || path.EndsWith(".gz", StringComparison.Ordinal))
                continue;
            var name = "/" + Path.GetRelativePath(folder, path).Replace('\\', '/');
            pages.Add(name == "/index.html" ? "/" : name, File.ReadAllBytes(path), Twin(path + ".br"), Twin(path + ".gz"), TypeOf(path));
        }
        return pages;
    }

    /// <summary>Serves the file of the request's path; false when there is none.</summary>
    public async Task<bool> TryServeAsync(HttpContext context)
    {
        var request = context.Request;
        if (!(HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method)) || !_files.TryGetValue(request.Path.Value ?? "", out var file))
            return false;
        var headers = context.Response.Headers;
        headers.ETag = file.ETag;
        headers.Vary = "Accept-Encoding";
        headers.CacheControl = "no-cache";
        if (request.Headers.IfNoneMatch.ToString().Contains(file.ETag, StringComparison.Ordinal))
        {
            context.Response.StatusCode = 304;
            return true;
        }
        var (bytes, encoding) = file.For(request.Headers.AcceptEncoding.ToString());
        if (encoding is not null)
            headers.ContentEncoding = encoding;
        context.Response.ContentType = file.ContentType;
        context.Response.ContentLength = bytes.Length;
        if (HttpMethods.IsGet(request.Method))
            await context.Response.Body.WriteAsync(bytes, context.RequestAborted);
        return true;
    }

    private void Add(string path, byte[] bytes, byte[]? brotli, byte[]? gzip, string? contentType = null)
    {
        var etag = $"\"{Convert.ToHexStringLower(SHA256.HashData(bytes).AsSpan(0, 8))}\"";
        _files[path] = new PageFile(bytes, brotli, gzip ?? Gzip(bytes), etag, contentType ?? TypeOf(path));
    }

    private static byte[]? Twin(string path) => File.Exists(path) ? File.ReadAllBytes(path) : null;

    private static byte[] Gzip(byte[] bytes)
    {
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
            gzip.Write(bytes);
        return packed.ToArray();
    }

    /// <summary>A file that the assembly carries.</summary>
    internal static byte[] Resource(string name)
    {
        using var stream = typeof(PageFiles).Assembly.GetManifestResourceStream($"Millrace.WebConsole.Pages.{name}")
            ?? throw new InvalidOperationException($"the assembly does not carry Pages/{name}");
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static string TypeOf(string path) => Path.GetExtension(path) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".svg" => "image/svg+xml",
        ".png" => "image/png",
        ".json" or ".map" => "application/json",
        ".webmanifest" => "application/manifest+json",
        ".woff2" => "font/woff2",
        ".txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };

    private sealed record PageFile(byte[] Bytes, byte[]? Brotli, byte[] Gzip, string ETag, string ContentType)
    {
        public (byte[] Bytes, string? Encoding) For(string accepted)
        {
            if (Brotli is not null && Brotli.Length < Bytes.Length && accepted.Contains("br", StringComparison.OrdinalIgnoreCase))
                return (Brotli, "br");
            if (Gzip.Length < Bytes.Length && accepted.Contains("gzip", StringComparison.OrdinalIgnoreCase))
                return (Gzip, "gzip");
            return (Bytes, null);
        }
    }
}
