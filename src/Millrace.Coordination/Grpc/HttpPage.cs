using System.Text;

namespace Millrace.Coordination.Grpc;

/// <summary>A whole answer to plain HTTP.</summary>
internal readonly record struct HttpPage(int Status, string ContentType, string Body)
{
    /// <summary>As HTTP/1.1 (RFC 9112); the connection ends with it.</summary>
    public byte[] Encode(bool hasBody)
    {
        var reason = Status switch
        {
            200 => "OK",
            404 => "Not Found",
            405 => "Method Not Allowed",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        var head = $"HTTP/1.1 {Status} {reason}\r\n{(Status == 405 ? "Allow: GET\r\n" : "")}Content-Type: {ContentType}\r\n"
            + $"Content-Length: {Encoding.UTF8.GetByteCount(Body)}\r\nConnection: close\r\n\r\n";
        return Encoding.UTF8.GetBytes(hasBody ? head + Body : head);
    }
}
