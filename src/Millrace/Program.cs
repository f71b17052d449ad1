Console.WriteLine("millrace 0.1.0");
return 0;
