namespace Millrace.Coordination.Grpc.Http2;

/// <summary>What a request's headers say. Requests that say the same share it.</summary>
internal sealed class RequestHead
{
    private readonly List<HeaderField> _fields;

    /// <exception cref="Http2Exception">The fields are not a request's (RFC 9113, 8.3).</exception>
    public RequestHead(List<HeaderField> fields, Func<string, GrpcMethod?> find)
    {
        _fields = fields;
        string? method = null;
        string? path = null;
        var isPseudo = true;
        foreach (var (name, value) in fields)
        {
            if (name.StartsWith(':'))
            {
                if (!isPseudo)
                    throw new Http2Exception(Http2Error.Protocol, $"{name} comes after other headers");
                if (name == ":method")
                    method = value;
                else if (name == ":path")
                    path = value;
                else if (name is not (":scheme" or ":authority"))
                    throw new Http2Exception(Http2Error.Protocol, $"a request has no {name}");
                continue;
            }
            isPseudo = false;
            if (name.Length == 0 || name is "connection" or "transfer-encoding" or "upgrade" || name.AsSpan().ContainsAnyInRange('A', 'Z'))
                throw new Http2Exception(Http2Error.Protocol, $"a request has no header \"{name}\"");
        }
        if (method is null || path is null)
            throw new Http2Exception(Http2Error.Protocol, "a request names a method and a path");
        Path = path;
        PageMethod = method is "GET" or "HEAD" ? method : null;
        HttpStatus = method != "POST" ? 405 : GrpcServer.IsGrpc(Find("content-type") ?? "") ? 200 : 415;
        if (Find("grpc-timeout") is { } text && GrpcText.TryParseTimeout(text, out var timeout))
            Timeout = timeout;
        Target = find(path);
    }

    public string Path { get; }

    /// <summary>How one of the pages is asked for; null for everything else.</summary>
    public string? PageMethod { get; }

    /// <summary>200, or why it is none of gRPC.</summary>
    public int HttpStatus { get; }

    public TimeSpan? Timeout { get; }

    /// <summary>Null when there is no such method.</summary>
    public GrpcMethod? Target { get; }

    public string? Find(string name)
    {
        foreach (var field in _fields)
        {
            if (field.Name == name)
                return field.Value;
        }
        return null;
    }
}
